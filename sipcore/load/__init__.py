"""Load tests: many calls at a rate, and what became of them.

report = await switch.load(LoadPlan("sip:bob@192.0.2.10", calls=500, rate=20, hold_s=30))
print(report, *judge(report, Thresholds(max_failed="1%", max_p99_setup_ms=500)), sep="\n")
"""

from sipcore.load.loaded import LoadedCall
from sipcore.load.plan import LoadPlan, arrivals
from sipcore.load.report import Distribution, LoadReport, Thresholds, Verdict, check_thresholds, judge
from sipcore.load.run import LoadProgress, LoadRun
from sipcore.load.writing import check_writable, write_csv, write_html, write_junit

__all__ = [
    "Distribution",
    "LoadPlan",
    "LoadProgress",
    "LoadReport",
    "LoadRun",
    "LoadedCall",
    "Thresholds",
    "Verdict",
    "arrivals",
    "check_thresholds",
    "check_writable",
    "judge",
    "write_csv",
    "write_html",
    "write_junit",
]
