"""A process of its own, as a shell starts one: the demo site's `manage.py`."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
MANAGE = [sys.executable, str(ROOT / "demo" / "manage.py")]
# Far above what anything here takes: a test that hangs is to fail, not to wait.
PATIENCE_SECONDS = 60


def environment(**variables: str) -> dict[str, str]:
    """What the demo's settings read, and nothing that the tests have set for themselves."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DJANGO_")}
    kept |= {"PYTHONPATH": str(ROOT / "src"), "COLUMNS": "80", "PYTHONDONTWRITEBYTECODE": "1"}
    return kept | variables


def run(
    *words: str,
    env: Mapping[str, str],
    cwd: Path,
    stdin: int | None = subprocess.DEVNULL,
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*MANAGE, *words],
        env=env,
        cwd=cwd,
        stdin=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def start(*words: str, env: Mapping[str, str], cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*MANAGE, *words],
        env=env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_ctrl_c,
    )


def hear_ctrl_c() -> None:
    """In a new process: what runs in the background of a script has been told to ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def interrupted(
    process: subprocess.Popen[str],
    when: Callable[[], bool],
    *,
    by: signal.Signals,
    after_seconds: float = 0.0,
) -> tuple[str, str, bool]:
    """Send the signal as soon as `when` holds, and some time after; what was printed, and whether
    the process was still at work."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    try:
        while not when():
            if process.poll() is not None or time.monotonic() > deadline:
                break
            time.sleep(0.002)
        time.sleep(after_seconds)
        was_working = process.poll() is None
        process.send_signal(by)
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    return out, err, was_working
