"""Control flow, variables, `fetch` and `webhook_send` of real calls on the fake engine; the web server is real and on loopback."""

import json

import pytest

from sipcore import engine as wire
from sipcore.actions import (
    Answer,
    Branch,
    ConditionVariable,
    Connect,
    Fetch,
    Goto,
    Hangup,
    Play,
    Sleep,
    Stop,
    Talk,
    VariableSet,
    WebhookSend,
)
from sipcore.errors import ActionFailed, InvalidRequest
from sipcore.events import ActionStarted
from sipcore.testing.fake_engine import Caller, FarEnd

from .stage import Stage, play
from .web_server import web_server


def order(stage: Stage, call) -> list[str]:
    """The ids of what was started, or the types where they have none."""
    return [event.action_id or event.type for event in stage.events if isinstance(event, ActionStarted) and event.call_id == call.id]


def details(stage: Stage, call) -> list[str]:
    return [event.detail for event in stage.finished(call.id) if event.outcome == "failed"]


def offered(stage: Stage, *actions, caller: Caller | None = None):
    stage.switch.on_call(actions=actions)
    return stage.switch.calls.live(stage.engine.offer("+821000", "+821021656521", caller=caller or Caller()).call_id)


# ------------------------------------------------------------------------------------------------- time and end


def test_sleep_takes_its_time(root):
    async def scenario(stage: Stage):
        record = await stage.call("bob", Sleep(90_000)).wait()
        assert record.duration_s == pytest.approx(90.0, abs=0.01)

    play(root, scenario)


@pytest.mark.parametrize(
    ("reason", "code", "told"),
    [("normal", 603, "noanswer"), ("busy", 486, "busy"), ("noanswer", 480, "noanswer"), ("failed", 500, "failed")],
)
def test_hangup_refuses_a_caller_who_waits(root, reason, code, told):
    async def scenario(stage: Stage):
        call = offered(stage, Hangup(reason), Play(["prompt.wav"]))
        record = await call.wait()
        assert (record.sip_code, str(record.hangup_reason)) == (code, told)
        assert stage.outcomes(call.id) == [("hangup", "done")]

    play(root, scenario)


def test_hangup_of_an_answered_call_has_its_reason(root):
    async def scenario(stage: Stage):
        call = stage.call("bob", Hangup("busy"), Play(["prompt.wav"]))
        record = await call.wait()
        assert (record.hangup_by, str(record.hangup_reason)) == ("local", "busy")
        assert order(stage, call) == ["hangup"]

    play(root, scenario)


def test_stop_leaves_the_call_up(root):
    async def scenario(stage: Stage):
        call = stage.call("bob", Stop(), Play(["prompt.wav"]))
        record = await call.wait()
        assert (record.hangup_by, record.duration_s) == ("remote", pytest.approx(30.0, abs=0.01))
        assert order(stage, call) == ["stop"]

    play(root, scenario, {"bob": FarEnd(hang_up_after_s=30.0)})


def test_a_stopped_call_takes_orders(root):
    async def scenario(stage: Stage):
        call = stage.call("bob", Stop())
        await call._session.answered
        call.set_variable("who", "Ann")
        await call.talk("hello ${who}")
        with pytest.raises(ActionFailed, match="only a list of actions has a next action"):
            await call.perform(Goto("a", 1))
        assert call.variables == {"who": "Ann"}
        call.hangup()
        await call.wait()

    play(root, scenario)


# -------------------------------------------------------------------------------------------------------- order


def test_loop_branch_and_condition(root):
    async def scenario(stage: Stage):
        call = stage.call(
            "bob",
            VariableSet("n", "", id="start"),
            VariableSet("n", "${n}x", id="again"),
            ConditionVariable("<", "n", "out", "length", value_length=3),
            Goto("again", 10),
            Branch({"xxx": "three"}, variable="n", id="out"),
            Talk("never"),
            Sleep(1, id="three"),
        )
        await call.wait()
        assert order(stage, call) == [
            "start", "again", "condition_variable", "goto", "again", "condition_variable", "goto", "again", "condition_variable",
            "out", "three",
        ]  # fmt: skip
        assert call.variables == {"n": "xxx"}

    play(root, scenario)


def test_a_prompt_is_played_as_often_as_it_is_said(root):
    async def scenario(stage: Stage):
        call = stage.call("bob", Play(["prompt.wav"], id="p"), Goto("p", 2))
        await call.wait()
        assert [heard.end_s - heard.start_s for heard in stage.engine.heard[call.id]] == pytest.approx([2.0, 2.0, 2.0], abs=0.01)

    play(root, scenario)


def test_too_many_actions_end_the_call_as_failed(root):
    async def scenario(stage: Stage):
        call = stage.call("bob", Sleep(1, id="a"), Goto("a", 1000))
        record = await call.wait()
        assert (record.hangup_reason, record.sip_phrase) == ("failed", "more than 9 actions of one call")
        assert len(order(stage, call)) == 9

    play(root, scenario, flow={"max_steps": 9})


def test_limits_of_the_configuration(root):
    async def scenario(stage: Stage):
        for actions, path in (
            ([Sleep(1)] * 4, "actions"),
            ([Sleep(1, id="a"), Goto("a", 6)], "actions[1].option.loop_count"),
        ):
            with pytest.raises(InvalidRequest) as refusal:
                stage.call("bob", *actions)
            assert [fault.path for fault in refusal.value.faults] == [path]
        with pytest.raises(InvalidRequest, match="at most 1 variables"):
            stage.call("bob", variables={"a": "", "b": ""})

    play(root, scenario, flow={"max_actions": 3, "max_loop_count": 5, "max_variables": 1})


# ---------------------------------------------------------------------------------------------------- variables


def test_variables_reach_what_is_said_and_who_is_called(root):
    async def scenario(stage: Stage):
        call = stage.call(
            "bob",
            Talk("${first} ${voipbin.call.direction} call"),
            Connect(["sip:${agent}@192.0.2.9"]),
            variables={"first": "an", "agent": "carol"},
        )
        await call.wait()
        assert stage.outcomes(call.id) == [("talk", "done"), ("connect", "done")]
        said = next(heard for heard in stage.engine.heard[call.id])
        assert said.end_s - said.start_s == pytest.approx(1.5, abs=0.01)  # three words
        (leg,) = [stage.switch.calls.live(leg_id) or await stage.switch.calls.get(leg_id) for leg_id in call.record.chained_call_ids]
        assert leg.destination.target == "carol@192.0.2.9"

    play(root, scenario, {"carol": FarEnd(hang_up_after_s=1.0)})


@pytest.mark.parametrize(
    ("action", "said"),
    [
        (Connect(["tel:${v}"]), "E.164"),
        (Connect(["sip:${v}@192.0.2.9"]), "control characters"),
        (Play(["${v}"]), ""),
        (Talk("${nothing}"), "empty"),
        (Talk("${v}" * 3000), "more than"),
        (Fetch("${v}"), ""),
        (VariableSet("${v}", "x"), "not a variable name"),
    ],
)
def test_a_value_that_does_not_fit_fails_its_action_only(root, action, said):
    async def scenario(stage: Stage):
        call = stage.call("bob", action, Sleep(1), variables={"v": "../../etc/pass\r\nwd, and so on ..."})
        await call.wait()
        assert stage.outcomes(call.id) == [(action.type, "failed"), ("sleep", "done")]
        assert said in details(stage, call)[0]

    play(root, scenario)


@pytest.mark.parametrize(
    ("variables", "path"),
    [
        ({"a b": "x"}, "variables.a b"),
        ({"call.id": "x"}, "variables.call.id"),
        ({"a": 5}, "variables.a"),
        ("a=b", "variables"),
        ({5: "x"}, "variables"),
    ],
)
def test_wrong_variables_are_refused_with_the_request(root, variables, path):
    async def scenario(stage: Stage):
        with pytest.raises(InvalidRequest) as refusal:
            stage.call("bob", variables=variables)
        assert [fault.path for fault in refusal.value.faults] == [path]

    play(root, scenario)


def test_variables_in_a_whole_request(root):
    async def scenario(stage: Stage):
        body = {"source": "+8210", "destination": "sip:bob@192.0.2.9", "variables": {"a": "x"}, "actions": [{"type": "stop"}]}
        destinations = {"destinations": ["sip:bob@192.0.2.9", "sip:carol@192.0.2.9"], "destination": None}
        calls = [stage.switch.calls.create(body), *stage.switch.calls.create_all(body | destinations)]
        calls[1].set_variable("a", "y")
        assert [call.variables for call in calls] == [{"a": "x"}, {"a": "y"}, {"a": "x"}]

    play(root, scenario)


# -------------------------------------------------------------------------------------------------------- fetch


def test_fetched_actions_are_carried_out_next(root):
    page = {
        "actions": [
            {"type": "variable_set", "option": {"key": "k", "value": "${v}"}, "id": "in"},
            {"type": "talk", "option": {"text": "${k}"}},
        ]
    }
    with web_server(flow=page) as site:

        async def scenario(stage: Stage):
            call = stage.call(
                "bob", Fetch(f"{site.url}/flow?d=${{digits}}"), Sleep(1, id="after"), variables={"v": "hello there", "digits": "1#"}
            )
            await call.wait()
            assert order(stage, call) == ["fetch", "in", "talk", "after"]
            assert {outcome for _, outcome in stage.outcomes(call.id)} == {"done"}
            ((method, path, body),) = site.asked
            assert (method, path) == ("POST", "/flow?d=1%23")
            told = json.loads(body)
            assert told["call_id"] == told["call"]["id"] == told["variables"]["call.id"] == call.id
            assert (told["call"]["status"], told["call"]["destination"]["target"]) == ("progressing", "bob@192.0.2.9")
            assert told["variables"]["digits"] == "1#"
            assert site.headers[0]["content-type"] == "application/json"

        play(root, scenario)


def test_fetch_by_get_a_bare_list_and_a_connect(root):
    with web_server(flow=[{"type": "connect", "option": {"destinations": ["sip:carol@192.0.2.9"]}}]) as site:

        async def scenario(stage: Stage):
            call = stage.call("bob", Fetch(f"{site.url}/flow", "GET"))
            await call.wait()
            assert stage.outcomes(call.id) == [("fetch", "done"), ("connect", "done")]
            assert site.asked == [("GET", "/flow", b"")]

        play(root, scenario, {"carol": FarEnd(hang_up_after_s=1.0)})


SLEEP = {"type": "sleep", "option": {"duration": 1}}
BOTH = {"type": "connect", "option": {"destinations": ["sip:a@192.0.2.9", "sip:b@192.0.2.9"]}}


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ((404, "text/plain", b"no"), "answered 404"),
        ((302, "text/plain", b""), "answered 302"),
        ((200, "text/html", b"<html>"), "answered text/html, not application/json"),
        ((200, "application/json", b"<html>"), "did not answer JSON"),
        ((200, "application/json", b"\xff"), "did not answer JSON"),
        ((200, "application/json", b"[" * 60_000), "did not answer JSON"),
        ((200, "application/json", b" " * 70_000), "65536 bytes"),
        ((200, "application/json", b" " * 10_000_000), "65536 bytes"),
        ({"action": []}, "did not answer a list"),
        ({"actions": None}, "did not answer a list"),
        ("talk", "did not answer a list"),
        (5, "did not answer a list"),
        ([SLEEP] * 101, "at most 100 actions"),
        ([{"type": "tlak"}], "fetched[0].type: unknown action type 'tlak'; did you mean 'talk'?"),
        ([{"type": "goto", "option": {"target_id": "nowhere", "loop_count": 1}}], "fetched[0].option.target_id"),
        ([{"type": "play", "option": {"stream_urls": ["../secret.wav"]}}], "fetched[0].option.stream_urls[0]"),
        ([BOTH], "needs 3 legs at once, the call has room for 2"),
    ],
)
def test_an_answer_that_cannot_be_carried_out(root, page, said):
    with web_server(flow=page) as site:

        async def scenario(stage: Stage):
            call = stage.call("bob", Fetch(f"{site.url}/flow"), Sleep(1, id="after"))
            await call.wait()
            assert stage.outcomes(call.id) == [("fetch", "failed"), ("sleep", "done")]
            assert said in details(stage, call)[0]

        play(root, scenario)


def test_a_list_that_fetches_itself_ends(root):
    with web_server() as site:
        site.pages["/flow"] = [{"type": "fetch", "option": {"event_url": f"{site.url}/flow"}}, SLEEP]

        async def scenario(stage: Stage):
            call = stage.call("bob", Fetch(f"{site.url}/flow"))
            await call.wait()
            assert len(site.asked) == 4
            assert details(stage, call) == [f"{site.url}/flow: lists are fetched at most 3 deep"]
            assert order(stage, call) == ["fetch"] * 4 + ["sleep"] * 3

        play(root, scenario, flow={"fetch_max_depth": 3})


def test_a_slow_server(root):
    with web_server(flow=lambda site: site.let_go.wait(20) and []) as site:

        async def scenario(stage: Stage):
            call = stage.call("bob", Fetch(f"{site.url}/flow"), Sleep(1))
            await call.wait()
            assert "no end within 0.3 s" in details(stage, call)[0]

        play(root, scenario, flow={"web_timeout_s": 0.3})


def test_private_addresses_are_refused_where_play_refuses_them(root):
    async def scenario(stage: Stage):
        with pytest.raises(InvalidRequest) as refusal:
            stage.call("bob", Fetch("http://127.0.0.1:1/"), WebhookSend("http://[::1]/"), Fetch("ftp://h.example/"), Fetch("flow.json"))
        assert [fault.path for fault in refusal.value.faults] == [
            "actions[0].option.event_url", "actions[1].option.uri", "actions[2].option.event_url", "actions[3].option.event_url"
        ]  # fmt: skip
        call = stage.call("bob", Fetch("${url}"), WebhookSend("${url}", sync=True), variables={"url": "http://localhost:1/"})
        await call.wait()
        assert stage.outcomes(call.id) == [("fetch", "failed"), ("webhook_send", "failed")]
        assert all("not public" in why or "not a public" in why for why in details(stage, call))

    play(root, scenario, allow_private_urls=False)


# ------------------------------------------------------------------------------------------------- webhook_send


def test_webhooks_with_and_without_waiting(root):
    with web_server(hook=(200, "text/plain", b""), bad=(500, "text/plain", b"")) as site:

        async def scenario(stage: Stage):
            data = '{"name": "${v}"}'
            call = stage.call(
                "bob",
                WebhookSend(f"{site.url}/hook", data=data, sync=True),
                WebhookSend(f"{site.url}/bad", "PUT", "text/plain", "it is ${v}", sync=True),
                WebhookSend(f"{site.url}/hook", "DELETE"),
                variables={"v": 'A "B"'},
            )
            await call.wait()
            assert stage.outcomes(call.id) == [("webhook_send", "done"), ("webhook_send", "failed"), ("webhook_send", "done")]
            assert details(stage, call) == [f"{site.url}/bad answered 500"]

        play(root, scenario)
        site.wait(3)
        assert site.asked[:2] == [("POST", "/hook", b'{"name": "A \\"B\\""}'), ("PUT", "/bad", b'it is A "B"')]
        assert site.asked[2] == ("DELETE", "/hook", b"")
        assert [headers.get("content-type") for headers in site.headers] == ["application/json", "text/plain", None]


# -------------------------------------------------------------------------------------------------- preparation


def test_what_a_variable_decides_is_ready_when_it_is_known(root):
    """The texts of both branches, and the one with a variable that is known from the start, are spoken while the phone rings."""

    async def scenario(stage: Stage):
        call = stage.call(
            "bob",
            Branch({"1": "one"}),
            Talk("two", id="two"),
            Hangup(),
            Talk("${name} says one", id="one"),
            variables={"name": "Ann", "digits": "1"},
        )
        await call._session.answered
        made = stage.switch.speech_counts()["engine"]
        await call.wait()
        assert made == 2
        assert stage.switch.speech_counts() == {"cache": 0, "engine": 2}
        assert order(stage, call) == ["branch", "one"]

    play(root, scenario, {"bob": FarEnd(answer_after_s=5.0)})


def test_a_value_that_changes_is_spoken_anew(root):
    async def scenario(stage: Stage):
        call = stage.call("bob", VariableSet("words", "one two three four"), Talk("${words}"), variables={"words": "one"})
        await call.wait()
        (said,) = stage.engine.heard[call.id]
        assert said.end_s - said.start_s == pytest.approx(2.0, abs=0.01)

    play(root, scenario, {"bob": FarEnd(answer_after_s=5.0)})


def test_early_media_and_answer_in_a_loop(root):
    async def scenario(stage: Stage):
        call = offered(stage, Talk("wait", id="w"), Goto("w", 1), Answer(), Talk("hello"))
        await call.wait()
        assert order(stage, call) == ["w", "goto", "w", "goto", "answer", "talk"]
        assert [ring.sip_code for ring in stage.sent(wire.Ring, call.id)] == [183]

    play(root, scenario)
