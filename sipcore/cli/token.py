"""`sipcore token create`: who may use the HTTP interface."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from sipcore.cli.serve import check_http
from sipcore.config import load_config
from sipcore.errors import ConfigError, Fault

_DAY_S = 24 * 3600.0
_MAX_DAYS = 36_500


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("token", help="make tokens for the HTTP interface")
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")
    create = verbs.add_parser(
        "create",
        help="make one",
        description="Print a token. With --config: a JSON Web Token, signed with jwt_secret of that file. With --opaque: a random one; "
        "the line for the configuration goes to standard error, and only the token's hash is in it.",
    )
    kind = create.add_mutually_exclusive_group(required=True)
    kind.add_argument("--config", metavar="FILE", type=Path, help="the configuration of the server")
    kind.add_argument("--opaque", action="store_true", help="a random token to list in the configuration")
    create.add_argument("--user-id", type=int, default=1, metavar="N", help="whose token (default %(default)s, the admin)")
    create.add_argument("--days", type=float, default=365.0, help="how long a signed token is good (default %(default)g)")
    create.add_argument("-v", "--verbose", action="count", default=0, help=argparse.SUPPRESS)
    create.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the token."""
    check_http()
    from sipcore.http.tokens import hash_token, new_jwt, new_token

    if options.user_id < 1 or not 0 < options.days <= _MAX_DAYS:  # nan is neither
        raise ConfigError(f"--user-id must be 1 or more, --days more than 0 and at most {_MAX_DAYS}")
    if options.opaque:
        token = new_token()
        line = f'hashed_tokens = ["{hash_token(token)}"]'
        place = "[http]" if options.user_id == 1 else f"[[http.users]]\nid = {options.user_id}"
        print(f"# into the configuration:\n{place}\n{line}", file=sys.stderr)
        print(token)
        return 0
    secret = load_config(options.config).http.jwt_secret.get_secret_value()
    if not secret:
        raise ConfigError([Fault(f"{options.config}: http.jwt_secret", "is not set: nothing to sign with; or use --opaque")])
    print(new_jwt(secret, options.user_id, options.days * _DAY_S))
    return 0
