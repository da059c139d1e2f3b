#!/usr/bin/env python3
"""Generates data/generated.parquet, two weeks of a small shop's metrics, and what is true of them in data/truth.json.

In: nothing; every number comes from the seed and from the constants below, so two runs write the same values.
Out: data/generated.parquet (long layout, see data/README.md) and the section "generated" of data/truth.json.

Services (gateway, orders, payments, inventory) are sampled every two minutes, hosts (web-1, web-2, db-1, db-2) every
five. Each is built as a person would describe it: a daily and a weekly season, noise that has a memory, and then the
events, every one of which goes into the truth as it is made.

    ~/.cache/barograph/venv/bin/python scripts/generate_data.py [--out DIR]
"""

import argparse
import datetime
import pathlib
import sys
import zlib

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from sample_data import Rows, write_parquet, write_truth

ROOT = pathlib.Path(__file__).resolve().parent.parent
SEED = 9275
# A Monday, so that the weekends are days 5, 6, 12 and 13.
BEGIN = datetime.datetime(2026, 11, 2, tzinfo=datetime.timezone.utc)
DAYS = 14
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
SERVICE_STEP = 2 * MINUTE
HOST_STEP = 5 * MINUTE
GIB = 1024.0**3
PAGE = 4096

ORIGIN = int(BEGIN.timestamp() * 1000)


def at(day, hour=0, minute=0):
    """A moment, as milliseconds since the data begins."""
    return day * DAY + hour * HOUR + minute * MINUTE


def grid(step):
    return np.arange(0, DAYS * DAY, step, dtype=np.int64)


def busy(t, peak_hour=14.0):
    """How busy the shop is, 0 to about 1: a day with one broad peak and a lunch dip, and quiet weekends."""
    hour = (t % DAY) / HOUR
    day = 0.5 + 0.42 * np.cos((hour - peak_hour) * 2 * np.pi / 24) - 0.10 * np.exp(-((hour - 12.5) ** 2) / 0.8)
    weekday = (t // DAY) % 7
    return np.clip(day, 0.02, None) * np.where(weekday >= 5, 0.62, 1.0)


def within(t, start, end):
    return (t >= start) & (t < end)


def ramp(t, start, end, edge):
    """0 outside, 1 inside, with slopes of `edge` at both sides."""
    return np.clip((t - start) / edge, 0, 1) * np.clip((end - t) / edge, 0, 1)


def significant(values, digits=4):
    """Rounded as an exporter would print them; it also lets the file compress."""
    with np.errstate(divide="ignore"):
        places = digits - 1 - np.floor(np.log10(np.abs(values)))
    places = np.where(np.isfinite(places), places, 0)
    return np.round(values * 10.0**places) / 10.0**places


class Shop:
    def __init__(self):
        self.rows = Rows()
        self.truth = {
            "begin": ORIGIN, "end": ORIGIN + DAYS * DAY, "events": [], "incidents": [], "capacity": [], "seasons": [],
            "gaps": [], "resets": [],
        }

    def rng(self, *names):
        """One generator per series, so that adding a series changes no other."""
        return np.random.default_rng([SEED, zlib.crc32("/".join(names).encode())])

    def noise(self, t, scale, memory, *names):
        """Zero-mean noise in which each step keeps `memory` of the last one's."""
        steps = self.rng(*names).normal(0, scale * np.sqrt(1 - memory**2), len(t))
        noise = np.empty(len(t))
        last = 0.0
        for i, step in enumerate(steps):
            last = memory * last + step
            noise[i] = last
        return noise

    def add(self, metric, t, values, keep=None, **labels):
        if keep is not None:
            t, values = t[keep], values[keep]
        self.rows.extend(metric, ORIGIN + t, values, **labels)

    @staticmethod
    def selector(metric, **labels):
        return metric + "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}"

    def event(self, kind, start, end, note, metric, **labels):
        self.truth["events"].append({
            "selector": self.selector(metric, **labels), "kind": kind, "start": ORIGIN + start, "end": ORIGIN + end, "note": note,
        })

    def season(self, metric, *lengths, **labels):
        for length in lengths:
            self.truth["seasons"].append({"selector": self.selector(metric, **labels), "season_ms": length})

    def counter(self, metric, t, per_second, resets=(), keep=None, **labels):
        """Whole events counted up from zero; at each reset the process has started anew."""
        step = t[1] - t[0]
        counted = np.cumsum(self.rng(metric, *labels.values()).poisson(np.maximum(per_second, 0) * step / 1000.0))
        for reset in resets:
            after = t >= reset
            counted = np.where(after, counted - counted[~after][-1], counted)
            self.truth["resets"].append({"selector": self.selector(metric, **labels), "at": ORIGIN + reset})
        self.add(metric, t, counted, keep, **labels)


# One outage on the second Friday: the payments database runs out of connections, and the rest follows, each later.
INCIDENT_START, INCIDENT_END = at(11, 14, 20), at(11, 15, 10)
LAGS = {"payments": 4 * MINUTE, "orders": 8 * MINUTE, "gateway": 12 * MINUTE}
SLOWED = {"payments": 6.0, "orders": 3.5, "gateway": 2.5}
FAILING = {"payments": 0.30, "orders": 0.18, "gateway": 0.12}
DEPLOY = at(8, 9, 30)  # orders gets slower with this release
DEPLOYS = {"gateway": [at(3, 10)], "orders": [at(1, 9), DEPLOY], "payments": [], "inventory": [at(6, 11)]}
SPIKE = (at(9, 10), at(9, 10, 8))
TRAFFIC_DROP = (at(10, 16), at(10, 16, 40))
SILENCE = (at(6, 3), at(6, 5, 30))
LEAK, RESTART = at(9, 12), at(12, 12)
LEAK_PER_DAY = 0.6 * GIB
RESIDENT_LIMIT = 4 * GIB


def services(shop):
    t = grid(SERVICE_STEP)
    members = []
    for service, peak_rate, base_latency in [
        ("gateway", 240.0, 0.085), ("orders", 90.0, 0.120), ("payments", 45.0, 0.210), ("inventory", 60.0, 0.040),
    ]:
        load = busy(t) * (1 + shop.noise(t, 0.04, 0.7, service, "load"))
        keep = np.ones(len(t), bool)
        if service == "inventory":
            load = np.where(within(t, *TRAFFIC_DROP), load * 0.15, load)
            keep = ~within(t, *SILENCE) & (shop.rng(service, "lost").random(len(t)) > 0.01)
            shop.event("drop", *TRAFFIC_DROP, "a client stops calling", "http_requests_total", service=service)
            for metric in ["http_requests_total", "http_request_duration_p95_seconds", "http_error_ratio"]:
                shop.truth["gaps"].append({
                    "selector": shop.selector(metric, service=service), "start": ORIGIN + SILENCE[0], "end": ORIGIN + SILENCE[1],
                    "note": "not scraped; besides, one sample in a hundred is missing",
                })
        shop.counter("http_requests_total", t, peak_rate * load, DEPLOYS[service], keep, service=service)
        shop.season("http_requests_total", DAY, 7 * DAY, service=service)

        trouble = ramp(t, INCIDENT_START + LAGS[service], INCIDENT_END + LAGS[service], 6 * MINUTE) if service in LAGS else 0 * t
        latency = base_latency * (1 + 0.45 * load**2) * np.exp(shop.noise(t, 0.05, 0.5, service, "latency"))
        errors = shop.rng(service, "errors").gamma(4.0, 0.0007, len(t)) * (0.5 + load)
        if service in LAGS:
            latency = latency * (1 + (SLOWED[service] - 1) * trouble)
            errors = errors + FAILING[service] * trouble
            for metric, note in [("http_request_duration_p95_seconds", "waits for what it calls"), ("http_error_ratio", "time-outs")]:
                span = (INCIDENT_START + LAGS[service], INCIDENT_END + LAGS[service])
                shop.event("spike", *span, f"incident: {note}", metric, service=service)
                members.append({"selector": shop.selector(metric, service=service), "onset": ORIGIN + span[0], "lag_ms": LAGS[service]})
        if service == "orders":
            latency = np.where(t >= DEPLOY, latency * 1.6, latency)
            shop.event("level-shift", DEPLOY, DAYS * DAY, "a release is 60 % slower, for good", "http_request_duration_p95_seconds", service=service)
        if service == "gateway":
            latency = np.where(within(t, *SPIKE), latency * 5, latency)
            shop.event("spike", *SPIKE, "four samples at five times the usual", "http_request_duration_p95_seconds", service=service)
        shop.add("http_request_duration_p95_seconds", t, significant(latency), keep, service=service)
        shop.add("http_error_ratio", t, np.round(np.minimum(errors, 1), 5), keep, service=service)
        shop.season("http_request_duration_p95_seconds", DAY, 7 * DAY, service=service)

    # The pool of the payments database is where the incident begins.
    starved = ramp(t, INCIDENT_START, INCIDENT_END, 2 * MINUTE)
    connections = 12 + 38 * busy(t) * (1 + shop.noise(t, 0.05, 0.6, "connections"))
    connections = np.minimum(np.round(connections + 100 * starved), 100)
    shop.add("db_connections_active", t, connections, service="payments-db")
    shop.event("spike", INCIDENT_START, INCIDENT_END, "incident: the pool of 100 connections is used up", "db_connections_active", service="payments-db")
    shop.season("db_connections_active", DAY, 7 * DAY, service="payments-db")
    cause = shop.selector("db_connections_active", service="payments-db")
    members.insert(0, {"selector": cause, "onset": ORIGIN + INCIDENT_START, "lag_ms": 0})

    # What payments cannot take in time waits in the queue, and is worked off afterwards.
    for queue, hit in [("payments", True), ("emails", False)]:
        depth = shop.rng(queue, "depth").poisson(2 + 9 * busy(t)).astype(float)
        if hit:
            start = INCIDENT_START + 2 * MINUTE
            rise = np.clip((t - start) / MINUTE, 0, 50) * 40
            fall = np.clip((t - INCIDENT_END) / MINUTE, 0, 25) * 80
            depth = depth + np.maximum(rise - fall, 0)
            shop.event("spike", start, INCIDENT_END + 25 * MINUTE, "incident: 40 a minute pile up, then drain", "queue_depth", queue=queue)
            members.append({"selector": shop.selector("queue_depth", queue=queue), "onset": ORIGIN + start, "lag_ms": 2 * MINUTE})
        shop.add("queue_depth", t, depth, queue=queue)
    shop.truth["incidents"].append({
        "start": ORIGIN + INCIDENT_START, "end": ORIGIN + INCIDENT_END + 25 * MINUTE, "cause": cause,
        "members": sorted(members, key=lambda member: member["onset"]),
        "note": "the payments database runs out of connections; payments, orders and the gateway follow",
    })

    for service, leaks in [("orders", True), ("payments", False)]:
        resident = 0.9 * GIB + 0.12 * GIB * busy(t) + shop.noise(t, 0.012 * GIB, 0.8, service, "resident")
        if leaks:
            leaked = np.where(t < LEAK, 0, np.where(t < RESTART, t - LEAK, t - RESTART)) / DAY * LEAK_PER_DAY
            resident = resident + leaked
            labels = {"service": service}
            shop.event("trend", LEAK, RESTART, "a leak of 0.6 GiB a day, until a restart", "process_resident_memory_bytes", **labels)
            shop.event("trend", RESTART, DAYS * DAY, "the same leak again after the restart", "process_resident_memory_bytes", **labels)
            # The mean of the daily cycle rides on top of the leak.
            crossing = RESTART + (RESIDENT_LIMIT - 0.9 * GIB - 0.12 * GIB * busy(t).mean()) / LEAK_PER_DAY * DAY
            shop.truth["capacity"].append({
                "selector": shop.selector("process_resident_memory_bytes", **labels), "limit": RESIDENT_LIMIT, "side": "up",
                "crosses": ORIGIN + int(crossing), "note": "if nobody restarts it",
            })
        shop.add("process_resident_memory_bytes", t, np.round(resident / PAGE) * PAGE, service=service)


MISSED_JOB = (at(12, 2), at(12, 2, 40))


def hosts(shop):
    t = grid(HOST_STEP)
    for host, cores, memory in [("web-1", 4, 16), ("web-2", 4, 16), ("db-1", 8, 64)]:
        load = cores * 0.7 * busy(t) * np.exp(shop.noise(t, 0.10, 0.6, host, "load"))
        if host == "db-1":
            # Every night but one, the backup keeps six cores busy for forty minutes.
            nightly = within(t % DAY, at(0, 2), at(0, 2, 40)) & ~within(t, *MISSED_JOB)
            load = load + 6 * nightly
            shop.event("pattern", *MISSED_JOB, "the nightly backup does not run", "node_load1", host=host)
        shop.add("node_load1", t, np.round(load, 2), host=host)
        shop.season("node_load1", DAY, 7 * DAY, host=host)
        shop.add("node_memory_MemTotal_bytes", t, np.full(len(t), memory * GIB), host=host)
        available = memory * GIB * (0.62 - 0.12 * busy(t) + shop.noise(t, 0.008, 0.9, host, "memory"))
        shop.add("node_memory_MemAvailable_bytes", t, np.round(available / PAGE / 64) * PAGE * 64, host=host)
        if host.startswith("web"):
            resets = [at(5, 4, 30)] if host == "web-2" else []
            received = 4e6 * busy(t) * np.exp(shop.noise(t, 0.08, 0.6, host, "network"))
            shop.counter("node_network_receive_bytes_total", t, received, resets, host=host, device="eth0")
            shop.season("node_network_receive_bytes_total", DAY, 7 * DAY, host=host)


def disks(shop):
    t = grid(HOST_STEP)
    # Far enough ahead that every crossing below lies inside.
    future = np.arange(0, 90 * DAY, HOST_STEP, dtype=np.int64)

    def volume(host, mountpoint, size, used):
        labels = {"host": host, "mountpoint": mountpoint}
        used = used[: len(t)] + shop.noise(t, 0.0004 * size, 0.5, host, mountpoint)
        shop.add("node_filesystem_size_bytes", t, np.full(len(t), size), **labels)
        shop.add("node_filesystem_avail_bytes", t, np.round((size - used) / PAGE / 256) * PAGE * 256, **labels)
        return labels

    # A database that grows by the same amount every day.
    size = 500 * GIB
    used = size * (0.62 + 0.015 * future / DAY) + 0.004 * size * np.sin(2 * np.pi * future / DAY)
    labels = volume("db-1", "/var/lib/db", size, used)
    shop.event("disk-filling", 0, DAYS * DAY, "7.5 GiB a day", "node_filesystem_avail_bytes", **labels)
    shop.truth["capacity"].append({
        "selector": shop.selector("node_filesystem_avail_bytes", **labels), "limit": 0, "side": "down",
        "crosses": ORIGIN + int(future[used >= size][0]), "note": "a steady 1.5 % of the volume a day",
    })

    # Logs are rotated every night: a saw that never fills the disk.
    size = 80 * GIB
    used = size * (0.45 + 0.06 * ((future - at(0, 3)) % DAY) / DAY)
    labels = volume("web-1", "/", size, used)
    shop.truth["capacity"].append({
        "selector": shop.selector("node_filesystem_avail_bytes", **labels), "limit": 0, "side": "down", "crosses": None,
        "note": "a daily saw of rotated logs: not growing",
    })

    # A volume reported as what is used, filled on working days above all.
    limit = 200 * GIB
    weekday = (future // DAY) % 7
    per_day = np.where(weekday >= 5, 0.6, 2.4) * GIB
    used = 130 * GIB + np.cumsum(per_day * HOST_STEP / DAY)
    labels = {"host": "db-2", "mountpoint": "/var/lib/db"}
    seen = used[: len(t)] + shop.noise(t, 0.08 * GIB, 0.5, "db-2", "used")
    shop.add("disk_used_bytes", t, np.round(seen / PAGE / 256) * PAGE * 256, **labels)
    shop.event("disk-filling", 0, DAYS * DAY, "2.4 GiB on a working day, 0.6 GiB at the weekend", "disk_used_bytes", **labels)
    shop.truth["capacity"].append({
        "selector": shop.selector("disk_used_bytes", **labels), "limit": limit, "side": "up",
        "crosses": ORIGIN + int(future[used >= limit][0]), "note": "fills on working days",
    })


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "data", help="folder for generated.parquet and truth.json")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    shop = Shop()
    services(shop)
    hosts(shop)
    disks(shop)
    write_parquet(shop.rows, args.out / "generated.parquet")
    write_truth("generated", shop.truth, args.out / "truth.json")


if __name__ == "__main__":
    main()
