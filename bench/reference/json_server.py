"""What both reference processes of the benchmarks share: one JSON command a line on stdin, one answer a line on stdout."""

import json
import sys


def peak_memory():
    with open("/proc/self/status") as file:
        peak = next(line for line in file if line.startswith("VmHWM"))
    return {"peakRssBytes": int(peak.split()[1]) * 1024}


def serve(server):
    """Each command names a method of `server` and gives its arguments."""
    for line in sys.stdin:
        command = json.loads(line)
        answer = getattr(server, command.pop("command"))(**command)
        print(json.dumps(answer), flush=True)
