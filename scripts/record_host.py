#!/usr/bin/env python3
"""Records this machine under a scripted load into data/recorded.parquet, with what was done and when as the truth.

In: /proc and statvfs of this machine, every few seconds, for about twenty minutes.
Out: data/recorded.parquet (long layout, see data/README.md) and the section "recorded" of data/truth.json.

The load is a small web service with one client, both inside this script, plus a set of phases that run on top of it
at known times: a CPU burst, a leak of memory that is then released, network traffic on the loopback device, disk
writes, a slow dependency that makes the service queue and fail, and a small volume that fills all the while.
The volume is a tmpfs when the script may mount one (as root), otherwise a directory on the disk.

    ~/.cache/barograph/venv/bin/python scripts/record_host.py            # the real thing, 20 minutes
    ~/.cache/barograph/venv/bin/python scripts/record_host.py --speed 20 --out /tmp/x   # a quick try of the script
"""

import argparse
import http.client
import http.server
import math
import multiprocessing
import os
import pathlib
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from sample_data import Rows, write_parquet, write_truth

ROOT = pathlib.Path(__file__).resolve().parent.parent
HOST = "recorder"
SERVICE = "shop"
STEP = 5.0  # seconds between two samples
CYCLE = 120.0  # seconds of the client's load cycle: a season of 24 steps
FILL_LIMIT = 384 * 1024 * 1024  # bytes of the filling volume
FILL_RATE = 200_000  # bytes per second

# (kind, start, end, metrics it shows in, note); seconds since the recording began.
PHASES = [
    ("cpu-burst", 240, 330, ["process_cpu_seconds_total"], "one process of the load computes without pause"),
    ("memory-leak", 480, 660, ["process_resident_memory_bytes"], "4 MB are allocated every second, then all of it released"),
    ("network-burst", 750, 810, ["node_network_receive_bytes_total", "node_network_transmit_bytes_total"],
     "about 40 MB/s over the loopback device"),
    ("disk-writes", 870, 930, ["node_disk_written_bytes_total"], "8 MB are written and synced every second"),
    ("slow-dependency", 1020, 1095,
     ["http_request_duration_seconds", "http_requests_in_flight", "http_request_errors_total"],
     "each request takes 400 ms longer and every third fails"),
]
LENGTH = 1200


class State:
    """What the load's threads share; plain attributes, each written by one thread or under the lock."""

    def __init__(self, speed):
        self.speed = speed
        self.began = time.time()
        self.lock = threading.Lock()
        self.requests = 0
        self.errors = 0
        self.in_flight = 0
        self.durations = []
        self.stop = threading.Event()

    def elapsed(self):
        return (time.time() - self.began) * self.speed

    def is_on(self, kind):
        now = self.elapsed()
        return any(k == kind and start <= now < end for k, start, end, _, _ in PHASES)


def compute_without_pause(until):
    while time.time() < until:
        sum(i * i for i in range(10_000))


def serve_requests(state):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            hashed = 0
            for i in range(2000):
                hashed = (hashed * 31 + i) & 0xFFFFFFFF
            slow = state.is_on("slow-dependency")
            if slow:
                time.sleep(0.4)
            failed = random.random() < (0.33 if slow else 0.005)
            body = str(hashed).encode()
            self.send_response(500 if failed else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def one_request(state, port):
    with state.lock:
        state.in_flight += 1
    began = time.perf_counter()
    try:
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        client.request("GET", "/")
        failed = client.getresponse().status != 200
        client.close()
    except OSError:
        failed = True
    with state.lock:
        state.in_flight -= 1
        state.requests += 1
        state.errors += failed
        state.durations.append(time.perf_counter() - began)


def send_requests(state, port):
    """Between 4 and 16 requests a second, in a cycle, with a little chance in the spacing."""
    while not state.stop.is_set():
        rate = 10 + 6 * math.sin(2 * math.pi * state.elapsed() / CYCLE)
        time.sleep(random.expovariate(rate))
        threading.Thread(target=one_request, args=(state, port), daemon=True).start()


def sink(port_box):
    server = socket.create_server(("127.0.0.1", 0))
    port_box.append(server.getsockname()[1])
    while True:
        connection, _ = server.accept()
        while connection.recv(1 << 16):
            pass


def run_phases(state, volume, scratch):
    """Carries out every phase but the slow dependency, which the service looks up itself."""
    leak, burner, written = [], None, 0
    ports = []
    threading.Thread(target=sink, args=(ports,), daemon=True).start()
    time.sleep(0.1)
    pipe = socket.create_connection(("127.0.0.1", ports[0]))
    chunk, block = os.urandom(1 << 16), os.urandom(1 << 20)
    # A fifth of the volume is taken from the start, so that the record does not begin at an empty disk.
    filling = open(volume / "filling", "wb", buffering=0)
    filling.write(b"\1" * (FILL_LIMIT // 5))
    tick = 0.25
    while not state.stop.wait(tick):
        # As many seconds of the script as one tick stands for.
        worth = tick * state.speed
        filling.write(b"\1" * int(FILL_RATE * worth))
        if state.is_on("cpu-burst") and burner is None:
            until = time.time() + 90 / state.speed
            burner = multiprocessing.Process(target=compute_without_pause, args=(until,), daemon=True)
            burner.start()
            state.burner_pid = burner.pid
        if state.is_on("memory-leak"):
            leak.append(b"\1" * int(4e6 * worth))
        elif leak:
            leak.clear()
        if state.is_on("network-burst"):
            for _ in range(int(40e6 * worth / len(chunk))):
                pipe.sendall(chunk)
        if state.is_on("disk-writes"):
            with open(scratch / "writes", "wb") as file:
                for _ in range(max(1, int(8 * worth))):
                    file.write(block)
                os.fsync(file.fileno())
    filling.close()


def read_text(path):
    return pathlib.Path(path).read_text()


def cpu_seconds(pid):
    try:
        fields = read_text(f"/proc/{pid}/stat").rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Recorder:
    def __init__(self, state, volume):
        self.state = state
        self.volume = volume
        self.burnt = 0.0
        self.rows = Rows()

    def record(self, at):
        def add(metric, value, **labels):
            self.rows.add(metric, at, value, host=HOST, **labels)

        tick = os.sysconf("SC_CLK_TCK")
        cpu = read_text("/proc/stat").split("\n", 1)[0].split()[1:]
        for mode, ticks in zip(["user", "nice", "system", "idle", "iowait"], cpu):
            if mode != "nice":
                add("node_cpu_seconds_total", int(ticks) / tick, mode=mode)
        memory = dict(line.split(":") for line in read_text("/proc/meminfo").splitlines())
        for name in ["MemTotal", "MemAvailable"]:
            add(f"node_memory_{name}_bytes", int(memory[name].split()[0]) * 1024)
        add("node_load1", float(read_text("/proc/loadavg").split()[0]))
        for line in read_text("/proc/net/dev").splitlines()[2:]:
            device, figures = line.split(":")
            if device.strip() == "lo":
                figures = figures.split()
                add("node_network_receive_bytes_total", int(figures[0]), device="lo")
                add("node_network_transmit_bytes_total", int(figures[8]), device="lo")
        for line in read_text("/proc/diskstats").splitlines():
            fields = line.split()
            # Whole disks only; partitions and loop devices would count the same bytes twice.
            if os.path.exists(f"/sys/block/{fields[2]}/device"):
                add("node_disk_read_bytes_total", int(fields[5]) * 512, device=fields[2])
                add("node_disk_written_bytes_total", int(fields[9]) * 512, device=fields[2])
        volume = os.statvfs(self.volume)
        add("node_filesystem_size_bytes", volume.f_blocks * volume.f_frsize, mountpoint="/volume")
        add("node_filesystem_avail_bytes", volume.f_bavail * volume.f_frsize, mountpoint="/volume")
        pid = getattr(self.state, "burner_pid", None)
        # A finished process takes its count along; the load's counter must not step back.
        self.burnt = max(self.burnt, cpu_seconds(pid) if pid else 0.0)
        add("process_cpu_seconds_total", cpu_seconds(os.getpid()) + self.burnt, process="load")
        resident = int(read_text("/proc/self/statm").split()[1]) * os.sysconf("SC_PAGE_SIZE")
        add("process_resident_memory_bytes", resident, process="load")
        state = self.state
        with state.lock:
            durations, state.durations = state.durations, []
            requests, errors, in_flight = state.requests, state.errors, state.in_flight
        add("http_requests_total", requests, service=SERVICE)
        add("http_request_errors_total", errors, service=SERVICE)
        add("http_requests_in_flight", in_flight, service=SERVICE)
        if durations:
            mean = sum(durations) / len(durations)
            add("http_request_duration_seconds", round(mean, 6), service=SERVICE)


def truth(began_ms, speed, mounted):
    at = lambda seconds: began_ms + round(seconds * 1000 / speed)
    events = []
    for kind, start, end, metrics, note in PHASES:
        for metric in metrics:
            by_process = metric.startswith("process_")
            label = 'process="load"' if by_process else f'service="{SERVICE}"' if metric.startswith("http") else f'host="{HOST}"'
            events.append({"selector": f"{metric}{{{label}}}", "kind": kind, "start": at(start), "end": at(end), "note": note})
    # statvfs counts whole pages, and the volume holds nothing but the filling file.
    full = (FILL_LIMIT - FILL_LIMIT // 5) / FILL_RATE
    capacity = [{
        "selector": f'node_filesystem_avail_bytes{{host="{HOST}",mountpoint="/volume"}}', "side": "down", "limit": 0,
        "crosses": at(full), "note": "filled at a constant rate by the script; the crossing lies beyond the record",
    }]
    seasons = [{"selector": f'http_requests_total{{service="{SERVICE}"}}', "season_ms": round(CYCLE * 1000 / speed), "note": "rate between 4 and 16 a second"}]
    return {"step_ms": round(STEP * 1000 / speed), "start": began_ms, "end": at(LENGTH), "events": events,
            "capacity": capacity if mounted else [], "seasons": seasons}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speed", type=float, default=1.0, help="how many times faster than written the script runs")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "data", help="folder for recorded.parquet and truth.json")
    parser.add_argument("--scratch", type=pathlib.Path, default=pathlib.Path.home() / ".cache", help="folder on the disk to write to")
    args = parser.parse_args()
    random.seed(20261120)
    args.out.mkdir(parents=True, exist_ok=True)
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="barograph-load-", dir=args.scratch))
    volume = scratch / "volume"
    volume.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={FILL_LIMIT}", "tmpfs", str(volume)]
    mounted = subprocess.run(mount, capture_output=True).returncode == 0
    if not mounted:
        print("cannot mount a small tmpfs here; the filling volume is a directory on the disk, without capacity truth")
    state = State(args.speed)
    try:
        port = serve_requests(state)
        for work in [(send_requests, state, port), (run_phases, state, volume, scratch)]:
            threading.Thread(target=work[0], args=work[1:], daemon=True).start()
        recorder = Recorder(state, volume)
        began_ms = round(state.began * 1000)
        for i in range(1, int(LENGTH / STEP) + 1):
            due = state.began + i * STEP / args.speed
            time.sleep(max(0.0, due - time.time()))
            recorder.record(round(time.time() * 1000))
        state.stop.set()
        time.sleep(0.5)
        write_parquet(recorder.rows, args.out / "recorded.parquet")
        write_truth("recorded", truth(began_ms, args.speed, mounted), args.out / "truth.json")
    finally:
        state.stop.set()
        if mounted:
            subprocess.run(["umount", "-l", str(volume)], check=False)
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
