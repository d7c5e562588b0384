"""The only place that imports pjsua2: programs that run PJSIP in processes of their own.

`server` imports pjsua2 once and forks; `worker` is one forked process with one PJSIP endpoint; `legs` has the calls in it, each a `leg`,
`outgoing` or `incoming`. They speak `sipcore.wire` messages with `sipcore.pool`, and SIP with the front door.
"""
