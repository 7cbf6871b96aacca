"""
The faults G02 and following: everybody is at work, and a gate refuses it all.

Most break one of those whom the gate asks, by its own code (`BREAK=`) or by a setting. That the gate refuses
everything for one reason is told after ten minutes without a success, the fault of who is asked sooner.
"""

from __future__ import annotations

from datetime import timedelta

from watchdog.demo.faults.deploy import deployed, mended, restarted
from watchdog.demo.faults.fault import AT_ONCE, Fault
from watchdog.demo.faults.hands import (
    DELISTED,
    deleting,
    drop_delisted,
    holding,
    in_turn,
    intending,
    market_turns,
    send_plans_again,
    setting,
    writing,
)
from watchdog.pipeline import names
from watchdog.pipeline.market import PRICES

TEN_MINUTES = timedelta(minutes=10)
"""The window of the rule OneReason, and of all that count refusals."""
REFUSES = ("OneReason", "apply_layer")
SHUT = ("GateShut", "apply_layer")
NOTHING_DONE = (("NoExecutions", "apply_layer"), ("NoExecutions", "execution"))
LATER = (
    ("ExecutionsOverdue", "apply_layer"),
    ("ExecutionsOverdue", "execution"),
    ("OnlyFailures", "apply_layer"),
)
DAY_LIMIT = 100_000
A_MOMENT = 20  # seconds


FAULTS: tuple[Fault, ...] = (
    Fault(
        "G02",
        "a heartbeat is sent only when events arrive, and is missing in a quiet market",
        in_turn(market_turns(0.2), deployed("rl_feedback", "beats_with_events")),
        expected=(("HeartbeatMissing", "rl_feedback"),),
        window=timedelta(seconds=40),  # the key's ten seconds, and the rule's thirty
        possible=(REFUSES, *NOTHING_DONE, *LATER),
        twin=market_turns(0.2),
        twin_title="a quiet market",
        repairs=in_turn(mended("rl_feedback"), market_turns(5)),
    ),
    Fault(
        "G03",
        "a heartbeat without an expiry counts as expired: everything is refused",
        deployed("rl_trainer", "beats_for_ever"),
        expected=(("HeartbeatNoExpiry", "rl_trainer"), REFUSES, *NOTHING_DONE),
        window=timedelta(minutes=1),
        possible=LATER,
        twin=setting("rl_trainer", "HEARTBEAT_TTL_SEC", "300"),
        twin_title="a heartbeat with a long expiry",
        repairs=mended("rl_trainer"),
    ),
    Fault(
        "G04",
        "a kill switch, one of six, is pulled by a person and forgotten",
        writing("quantum:emergency_stop", "1"),
        expected=(("FlagSet", "apply_layer"), REFUSES, *NOTHING_DONE),
        window=timedelta(minutes=1),
        possible=LATER,
        twin=writing("quantum:emergency_stop", "1", A_MOMENT),
        twin_title="a kill switch that is released after a moment",
        repairs=deleting("quantum:emergency_stop"),
        note="one that the machine pulls bears its name, and is told by what the machine misses",
    ),
    Fault(
        "G05",
        "the safe mode is on for an hour",
        writing(names.SAFE_MODE, "1", 3600),
        expected=(("FlagSet", "apply_layer"), REFUSES, *NOTHING_DONE),
        window=timedelta(minutes=1),
        possible=LATER,
        twin=writing(names.SAFE_MODE, "1", A_MOMENT),
        twin_title="a safe mode that ends by itself after a moment",
        repairs=deleting(names.SAFE_MODE),
    ),
    Fault(
        "G06",
        "the daily limit is reached, and its count has lost the expiry that would end it at midnight",
        writing(names.EXECUTED_TODAY, str(DAY_LIMIT)),
        expected=(REFUSES, *NOTHING_DONE),
        window=TEN_MINUTES,
        possible=LATER,
        twin=writing(names.EXECUTED_TODAY, str(DAY_LIMIT), 60),
        twin_title="the daily limit is reached a minute before midnight",
        repairs=deleting(names.EXECUTED_TODAY),
    ),
    Fault(
        "G07",
        "duplicates are told by an id that is empty: every plan is one",
        deployed("apply_layer", "dedupes_on_empty_id"),
        expected=(("AllSeenBefore", "apply_layer"), *NOTHING_DONE),
        window=TEN_MINUTES,
        possible=LATER,
        twin=send_plans_again,
        twin_title="some plans are sent twice",
        repairs=mended("apply_layer"),
        note="a plan that is skipped is healthy: told by the user's rule on the share of duplicates",
    ),
    Fault(
        "G08",
        "the snapshot of the exchange is older than its limit: entries and exits are denied",
        deployed("permits", "snapshot_stays"),
        expected=(("HeartbeatStale", "permits"), SHUT, *NOTHING_DONE),
        window=timedelta(minutes=5),
        possible=LATER,
        twin=restarted("permits"),
        twin_title="who takes the snapshots is restarted",
        repairs=mended("permits"),
    ),
    Fault(
        "G09",
        "of all symbols only two have the snapshot that the gate asks for",
        setting("permits", "P33_SYMBOLS", "BTCUSDT,ETHUSDT"),
        expected=(SHUT,),
        window=TEN_MINUTES,
        twin=setting("permits", "P33_SYMBOLS", "BTCUSDT,ETHUSDT,SOLUSDT,ZECUSDT,XRPUSDT,LINKUSDT,LUNAUSDT"),
        twin_title="symbols that are hardly traded have no snapshot",
        repairs=setting("permits", "P33_SYMBOLS", ",".join(PRICES)),
        note="a gate that refuses some is told by the user's rule on this gate's share of all results",
    ),
    Fault(
        "G10",
        "permits are written to a stream that nobody reads: none is ever issued",
        deployed("permits", "permits_to_nobody"),
        expected=(("Unanswered", "permits"), SHUT, *NOTHING_DONE, ("NoExecutions", "permits")),
        window=timedelta(minutes=20),  # the rule's fifteen, and its five
        possible=(*LATER, ("ExecutionsOverdue", "permits")),
        twin=restarted("permits"),
        twin_title="who issues permits is restarted",
        repairs=mended("permits"),
    ),
    Fault(
        "G11",
        "permits are read before they are written: every order times out",
        deployed("permits", "permits_late"),
        expected=(SHUT, *NOTHING_DONE),
        window=TEN_MINUTES,
        possible=LATER,
        twin=setting("apply_layer", "PERMIT_WAIT_SEC", "0.3"),
        twin_title="permits are waited for less long, and come in time",
        repairs=mended("permits"),
    ),
    Fault(
        "G12",
        "the policy has expired, and its universe is empty",
        deployed("permits", "policy_stays"),
        expected=(("HeartbeatMissing", "permits"), REFUSES, *NOTHING_DONE),
        window=timedelta(minutes=1),  # its own thirty seconds, and the rule's
        possible=LATER,
        twin=deleting(names.POLICY),
        twin_title="the policy is dropped, and issued again",
        repairs=mended("permits"),
    ),
    Fault(
        "G13",
        "the limit on positions counts ten that nobody holds any more",
        holding(*DELISTED),
        expected=(SHUT, *NOTHING_DONE),
        window=TEN_MINUTES,
        possible=(*LATER, ("OnlyEntries", "intent_bridge")),
        twin=holding(*DELISTED[:3]),
        twin_title="three of them, and room for more",
        repairs=drop_delisted,
        note="a limit that is reached for a while is healthy: told by the user's rule on its share",
    ),
    Fault(
        "G14",
        "a deploy made reduceOnly the default: there are no more entries",
        deployed("intent_bridge", "reduce_only"),
        expected=(("ForbiddenResult", "apply_layer"), *NOTHING_DONE),
        window=TEN_MINUTES,
        possible=(
            *LATER,
            ("OnlyEntries", "intent_bridge"),
            ("LogErrors", "apply_layer"),
            ("NewLogErrors", "apply_layer"),
        ),
        twin=restarted("intent_bridge"),
        twin_title="a deploy that changed nothing",
        repairs=mended("intent_bridge"),
        note="the file says which answers of the exchange must never come, this one among them",
    ),
    Fault(
        "G15",
        "the formula of the least notional multiplies by the lot's step: all orders are blocked",
        deployed("apply_layer", "notional_by_step"),
        expected=(REFUSES, *NOTHING_DONE),
        window=TEN_MINUTES,
        possible=(*LATER, ("OnlyEntries", "intent_bridge")),
        twin=intending(5, symbol="ETHUSDT", side="BUY", position_size_usd=3.0, entry_price=2100.0),
        twin_title="some orders are really too small",
        repairs=mended("apply_layer"),
    ),
    Fault(
        "G16",
        "the producer writes amounts with their currency: every entry is dropped as unreadable",
        deployed("intents", "size_with_unit"),
        expected=(("BadValues", "intents"), *NOTHING_DONE),
        window=AT_ONCE,
        possible=(*LATER, ("NoExecutions", "permits")),
        twin=intending(3, symbol="AAAUSDT", side="SELL", position_size_usd=50.0, entry_price=0.98),
        twin_title="another producer writes the flat form, with numbers as text",
        repairs=mended("intents"),
    ),
    Fault(
        "G17",
        "signals are five to eight minutes old when they come, and dropped from five minutes on",
        in_turn(
            setting("intent_bridge", "INTENT_MAX_AGE_SEC", "300"), deployed("intents", "stamped_by_scan")
        ),
        expected=(("OldWork", "intents"), ("StreamSilent", "intent_bridge")),
        window=AT_ONCE,
        possible=(*NOTHING_DONE, *LATER, ("LogSilent", "apply_layer")),
        twin=setting("intent_bridge", "INTENT_MAX_AGE_SEC", "300"),
        twin_title="dropped from five minutes on, and no signal is as old",
        repairs=in_turn(mended("intents"), setting("intent_bridge", "INTENT_MAX_AGE_SEC", "600")),
    ),
    Fault(
        "G18",
        "restarts come faster than the start-up grace ends: every order is blocked",
        in_turn(setting("apply_layer", "RISK_BOOT_GRACE_SEC", "30"), deployed("apply_layer", "dies_young")),
        expected=(("UnitRestarting", "apply_layer"), REFUSES, *NOTHING_DONE),
        window=timedelta(minutes=2),  # three restarts, and the rule's minute
        possible=LATER,
        twin=setting("apply_layer", "RISK_BOOT_GRACE_SEC", "30"),
        twin_title="one restart, and its grace",
        repairs=in_turn(mended("apply_layer"), setting("apply_layer", "RISK_BOOT_GRACE_SEC", "1")),
    ),
    Fault(
        "G19",
        "INTENT_BRIDGE_SKIP_FLAT_SELL=true drops every exit, because the ledger knows of no position",
        deployed("intent_bridge", "books_no_entries"),
        expected=(("OnlyEntries", "intent_bridge"),),
        window=TEN_MINUTES,
        twin=intending(50, symbol="AAAUSDT", side="SELL", position_size_usd=50.0, entry_price=0.98),
        twin_title="many SELLs on positions that are really flat",
        repairs=mended("intent_bridge"),
        note="entries go on, so nothing is dead: told by the user's rule on the share of exits",
    ),
)
