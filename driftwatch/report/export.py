"""A run as one file for other programs: a table of figures, its records, or the whole folder."""

import csv
import zipfile
from pathlib import Path

from driftwatch.record.record import to_json
from driftwatch.report.series import figures
from driftwatch.store.run_store import RunStore

COLUMNS = ("run", "attempt", "look", "step", "timestamp", "part", "topic", "probe", "baseline", "figure", "value")


def write_csv(store: RunStore, out: Path) -> tuple[int, str]:
    """Write every figure of every observation, one per line; returns their number and the word for them."""
    count = 0
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["run", "attempt", "look", "step", "timestamp", "part", "topic", "probe", "baseline", "figure", "value"]
        )
        for record in store.records():
            where = [record.run, record.attempt, record.look, record.step, record.timestamp]
            for (part, *path, figure), value in figures(record):
                if part != "looks" and value is not None:
                    columns = [*path, *[""] * (3 - len(path))]
                    writer.writerow([*where, part, *columns, figure, _cell(value)])
                    count += 1
    return count, "figures"


def _cell(value: object) -> object:
    """The value, made safe so that no spreadsheet takes it for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t") else value


def write_records(store: RunStore, out: Path) -> tuple[int, str]:
    """Write every record that counts, one per line; returns their number and the word for them."""
    records = store.records()
    out.write_bytes(b"".join(to_json(record) + b"\n" for record in records))
    return len(records), "records"


def write_zip(store: RunStore, out: Path) -> tuple[int, str]:
    """Write the run's folder as a ZIP file; returns the number of files and the word for them."""
    name = store.folder.resolve().name
    paths = [path for path in sorted(store.folder.rglob("*")) if path.is_file() and not path.is_symlink()]
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in paths:
            if path.resolve() != out.resolve():
                archive.write(path, f"{name}/{path.relative_to(store.folder).as_posix()}")
    return len(paths), "files"
