"""The check of every part that a daemon starts: its result, its limits, and that nothing of it is left over."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from device.daemon import self_check
from device.daemon.self_check import Checked, SelfCheck, _let_others_go_first
from device.errors import StatusError
from tests.waiting import LIMIT_S, wait_for_content, wait_until, wait_until_gone

FINDINGS = [
    {"topic": "settings", "verdict": "OK", "message": "defaults", "fix": ""},
    {"topic": "microphone", "verdict": "FAIL", "message": "no microphone found", "fix": "plug one in"},
]
FOUND = f"print({json.dumps(FINDINGS)!r})"
HANGS = """
import os, subprocess, sys, time
child = subprocess.Popen(["sleep", "600"])
with open("pids.new", "w") as file:
    print(os.getpid(), child.pid, file=file)
os.replace("pids.new", "pids")
time.sleep(600)
"""
MakeCheck = Callable[..., SelfCheck]


@pytest.fixture
def make_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeCheck]:
    """Makes a check that runs a script in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(self_check, "_let_others_go_first", lambda _process: None)  # for a machine with much to do
    checks = []

    def make(script: str, limit_s: float = LIMIT_S, environment: Mapping[str, str] | None = None) -> SelfCheck:
        command = [sys.executable, "-S", "-c", f'open("runs", "a").write("x")\n{script}']
        checks.append(SelfCheck(command, {**os.environ, **(environment or {})}, limit_s))
        return checks[-1]

    yield make
    for each in checks:
        each.close()


def runs() -> int:
    return len(Path("runs").read_text())


def pids() -> list[int]:
    """The process of a check that hangs, and its child."""
    return [int(each) for each in wait_for_content(Path("pids")).split()]


def refused(check: SelfCheck) -> StatusError:
    with pytest.raises(StatusError) as error:
        check.result()
    return error.value


@pytest.mark.parametrize("status", [0, 1])
def test_the_findings_are_returned(make_check: MakeCheck, status: int) -> None:
    more = [{**each, "unknown": [1]} for each in FINDINGS]
    checked = make_check(f"import sys; print({json.dumps(more)!r}); sys.exit({status})").result()
    assert list(checked.findings) == FINDINGS
    assert 0 <= checked.age_s < LIMIT_S


def test_the_environment_is_the_given_one(make_check: MakeCheck) -> None:
    script = f"import os, json; print(json.dumps([{FINDINGS[0]} | {{'message': os.environ['GREETING']}}]))"
    [finding] = make_check(script, environment={"GREETING": "hello"}).result().findings
    assert finding["message"] == "hello"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("import os; os.kill(os.getpid(), 9)", "the check failed (the system ended it: memory may be short)"),
        ("import os; os.kill(os.getpid(), 11)", "the check failed (it was ended by SIGSEGV)"),
        ("raise SystemExit(3)", "the check failed (exit status 3, without findings)"),
        ("print('[' * 10000)", "the check failed (exit status 0, without findings)"),
        ("print('x' * 100_000)", "the check failed (its output is too large)"),
        ("while True: print('x' * 1000)", "the check failed (its output is too large)"),
    ],
)
def test_a_check_that_fails(make_check: MakeCheck, script: str, message: str) -> None:
    error = refused(make_check(script))
    assert (error.message, error.fix) == (message, "on the device, run: edge-mcnn doctor")


@pytest.mark.parametrize(
    "output",
    [
        "", "garbage", "{}", "[]", "null", "[1]", '[{"topic": "a"}]', json.dumps(FINDINGS)[:-1],
        json.dumps([{**FINDINGS[0], "verdict": "GOOD"}]), json.dumps([{**FINDINGS[0], "fix": None}]),
        json.dumps([FINDINGS[0], "x"]),
    ],
)  # fmt: skip
def test_what_is_no_list_of_findings_is_refused(make_check: MakeCheck, output: str) -> None:
    assert "without findings" in refused(make_check(f"print({output!r})")).message


def test_a_check_that_hangs_is_killed_with_what_it_has_started(make_check: MakeCheck) -> None:
    error = refused(make_check(HANGS, limit_s=5.0))
    assert error.message == "the check did not end within 5 s, and was ended"
    for each in pids():
        wait_until_gone(each)


def test_a_check_that_closes_its_output_and_goes_on_is_killed(make_check: MakeCheck) -> None:
    script = f"{FOUND}\nimport sys\nsys.stdout.close()\n__import__('os').close(1)\n{HANGS}"
    assert "did not end within 5 s" in refused(make_check(script, limit_s=5.0)).message
    wait_until_gone(pids()[0])


def test_the_child_of_a_check_that_crashed_is_killed(make_check: MakeCheck) -> None:
    crashes = HANGS.replace("time.sleep(600)", "os.kill(os.getpid(), 9)").replace(
        '["sleep", "600"]', '["sleep", "600"], stdout=subprocess.DEVNULL'
    )
    assert "memory may be short" in refused(make_check(crashes)).message
    for each in pids():
        wait_until_gone(each)


def test_the_end_of_the_daemon_ends_the_check(make_check: MakeCheck) -> None:
    check = make_check(HANGS)
    errors: list[StatusError] = []
    waiting = threading.Thread(target=lambda: errors.append(refused(check)))
    waiting.start()
    processes = pids()
    check.close()
    waiting.join(LIMIT_S)
    for each in processes:
        wait_until_gone(each)
    assert [each.message for each in [*errors, refused(check)]] == ["the daemon ends"] * 2
    assert runs() == 1
    check.close()


def test_a_daemon_that_is_killed_takes_the_check_along(tmp_path: Path) -> None:
    script = (
        "import os, sys\nfrom device.daemon.self_check import SelfCheck\n"
        f"SelfCheck([sys.executable, '-S', '-c', {HANGS!r}], os.environ).result()"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, env=environment) as daemon:
        process = int(wait_for_content(tmp_path / "pids").split()[0])
        daemon.kill()
    wait_until_gone(process)
    os.kill(int((tmp_path / "pids").read_text().split()[1]), 9)  # a grandchild: the doctor's own end with it


def test_a_result_is_returned_again_for_a_while(make_check: MakeCheck, monkeypatch: pytest.MonkeyPatch) -> None:
    check = make_check(FOUND)
    first = check.result()
    second = check.result()
    assert second.findings == first.findings
    assert second.age_s > first.age_s
    assert runs() == 1
    monkeypatch.setattr(self_check, "_FRESH_S", 0.0)
    check.result()
    assert runs() == 2


def test_a_failure_is_returned_again_for_a_while(make_check: MakeCheck) -> None:
    check = make_check("raise SystemExit(3)")
    assert refused(check).message == refused(check).message
    assert runs() == 1


def test_those_who_request_a_check_meanwhile_get_the_same_result(make_check: MakeCheck) -> None:
    wait = "import os, time\nwhile not os.path.exists('go'): time.sleep(0.01)\n"
    check = make_check(wait + FOUND)
    results: list[Checked] = []
    threads = [threading.Thread(target=lambda: results.append(check.result())) for _ in range(5)]
    for thread in threads:
        thread.start()
    wait_until(lambda: Path("runs").exists())
    Path("go").touch()
    for thread in threads:
        thread.join(LIMIT_S)
    assert [list(each.findings) for each in results] == [FINDINGS] * 5
    assert runs() == 1


def test_every_other_process_goes_first(make_check: MakeCheck, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_check, "_let_others_go_first", _let_others_go_first)
    script = f"""
import json, os, time
end = time.monotonic() + {LIMIT_S}
def present():
    return f"{{os.getpriority(os.PRIO_PROCESS, 0)}} {{open('/proc/self/oom_score_adj').read().strip()}}"
while present() != "10 1000" and time.monotonic() < end:
    time.sleep(0.01)
print(json.dumps([{FINDINGS[0]} | {{"message": present()}}]))
"""
    [finding] = make_check(script).result().findings
    assert finding["message"] == "10 1000"
    assert os.getpriority(os.PRIO_PROCESS, 0) < 10


def test_a_program_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    error = refused(SelfCheck(["/nothing"], {}))
    assert error.message == "the check cannot be started (No such file or directory)"
