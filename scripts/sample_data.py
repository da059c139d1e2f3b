"""What the scripts that make data/ share: the long layout, its Parquet file, and truth.json."""

import json

import pyarrow as pa
import pyarrow.parquet as pq

# One nullable column each, in this order; a series without the label holds null there.
LABELS = ["host", "service", "mountpoint", "device", "mode", "process", "queue"]


class Rows:
    """Samples in columns, one row each."""

    def __init__(self):
        self.columns = {name: [] for name in ["metric", *LABELS, "timestamp", "value"]}

    def add(self, metric, at, value, **labels):
        self.extend(metric, [at], [value], **labels)

    def extend(self, metric, timestamps, values, **labels):
        """Appends one series' samples; timestamps in milliseconds since the epoch, UTC."""
        unknown = set(labels) - set(LABELS)
        if unknown:
            raise ValueError(f"no column for the labels {unknown}")
        n = len(timestamps)
        self.columns["metric"] += [metric] * n
        for name in LABELS:
            self.columns[name] += [labels.get(name)] * n
        self.columns["timestamp"] += [int(at) for at in timestamps]
        self.columns["value"] += [float(value) for value in values]

    def table(self):
        """Sorted by series and time, so that each column is made of long runs."""
        text = pa.string()
        arrays = {"metric": pa.array(self.columns["metric"], text)}
        arrays |= {name: pa.array(self.columns[name], text) for name in LABELS}
        # A column that no series uses would only be noise.
        arrays = {name: array for name, array in arrays.items() if array.null_count < len(array)}
        arrays["timestamp"] = pa.array(self.columns["timestamp"], pa.timestamp("ms", tz="UTC"))
        arrays["value"] = pa.array(self.columns["value"], pa.float64())
        table = pa.table(arrays)
        keys = [(name, "ascending") for name in table.column_names if name not in ("timestamp", "value")]
        return table.sort_by([*keys, ("timestamp", "ascending")])


def write_parquet(rows, path):
    """Dictionaries for the labels, deltas for the time, dictionary or plain for the values, zstd over all."""
    table = rows.table()
    labels = [name for name in table.column_names if name not in ("timestamp", "value")]
    pq.write_table(
        table, path, compression="zstd", compression_level=19, version="2.6", row_group_size=1 << 17,
        use_dictionary=[*labels, "value"], column_encoding={"timestamp": "DELTA_BINARY_PACKED"},
    )
    print(f"{path}: {table.num_rows} samples, {path.stat().st_size} bytes")


def write_truth(section, truth, path):
    """Replaces one section of truth.json and leaves the other as it is."""
    whole = json.loads(path.read_text()) if path.exists() else {}
    whole[section] = truth
    path.write_text(json.dumps(dict(sorted(whole.items())), indent=1, ensure_ascii=False) + "\n")
    print(f"{path}: {len(truth['events'])} events, {len(truth['capacity'])} limits")
