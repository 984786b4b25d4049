"""Batch scoring: each format, any blocks, interruptions, clusters, and what is refused."""

from __future__ import annotations

import ast
import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import graphctx_onnx.scoring
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr
from graphctx_onnx import score
from graphctx_onnx.runtime import ContextError, InvalidBundleError
from graphctx_onnx.scoring import ClusterError, ScoringError
from graphctx_onnx.scoring.seeds import pieces, segment_rows, segment_seed
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.exporters.scoring_models import loaded, rows, stored

SCORING = Path(graphctx_onnx.scoring.__file__).parent

SMALL = 1 << 12
"""Bytes of memory with which even few rows are many tasks."""


def read_parquet(path: Path, name: str) -> Any:
    """A column of lists as an array."""
    column = pq.read_table(path)[name].combine_chunks()
    shape = [len(column)]
    while pa.types.is_fixed_size_list(column.type):
        shape.append(column.type.list_size)
        column = column.flatten()
    return column.to_numpy(zero_copy_only=False).reshape(shape)


def write(kind: str, folder: Path, x: Any, **options: Any) -> tuple[Path, Path]:
    """Store rows in a format; returns the paths of input and output."""
    source, target = folder / f"in.{kind}", folder / f"out.{kind}"
    if kind == "npz":
        np.savez(source, x=x)
    elif kind == "npy":
        np.save(source, x)
    elif kind == "zarr":
        group = zarr.create_group(source)
        chunks = (options.get("group", 7), x.shape[1])
        group.create_array("x", shape=x.shape, chunks=chunks, dtype=x.dtype)[:] = x
    else:
        table = pa.table({"x": pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), x.shape[1])})
        pq.write_table(table, source, row_group_size=options.get("group", 7))
    return source, target


def read(path: Path, name: str) -> Any:
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return arrays[name]
    if path.suffix == ".npy":
        return np.load(path)
    if path.suffix == ".zarr":
        group: Any = zarr.open_group(path, mode="r")
        return group[name][:]
    return read_parquet(path, name)


def left(folder: Path) -> set[str]:
    """What is there, but for the input."""
    return {entry.name for entry in folder.iterdir() if entry.stem != "in"}


# -- formats ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["npy", "npz", "parquet", "zarr"])
def test_formats(kind: str, tmp_path: Path) -> None:
    x = rows(50)
    x[3, 1], x[4, 2] = np.nan, np.inf
    source, target = write(kind, tmp_path, x)
    outputs = ["logits"] if kind == "npy" else None
    done = score(stored("plain"), source, target, outputs=outputs, memory=SMALL, workers=2, gain=2)
    assert (done.rows, done.resumed, done.seed, done.workers) == (50, 0, None, 2)
    assert done.condition == "training=False"
    expected = loaded("plain").run({"x": x}, gain=2)
    for name in done.outputs:
        np.testing.assert_allclose(read(target, name), expected[name], rtol=1e-5, atol=1e-6)
    assert done.outputs == (("logits",) if kind == "npy" else ("logits", "pairs"))
    assert left(tmp_path) == {target.name}


def test_numpy_files_of_all_layouts(tmp_path: Path) -> None:
    x = rows(20)
    expected = loaded("plain").run({"x": x})["logits"]
    for name, stored_array in {
        "fortran": np.asfortranarray(x),
        "big": x.astype(">f4"),
        "double": x.astype(np.float64),
    }.items():
        source, target = tmp_path / f"{name}.npy", tmp_path / f"{name}-out.npz"
        np.save(source, stored_array)
        score(stored("plain"), source, target, cast=name == "double", block_rows=3)
        np.testing.assert_allclose(read(target, "logits"), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("format", [2, 3])
def test_a_zarr_array_of_either_format(format: Any, tmp_path: Path) -> None:
    x = rows(20)
    source, target = tmp_path / "in.zarr", tmp_path / "out.zarr"
    zarr.create_array(source, data=x, chunks=(3, 2), zarr_format=format)
    target.touch()
    score(stored("plain"), source, target, overwrite=True, memory=SMALL)
    made: Any = zarr.open_group(target, mode="r")
    assert made.metadata.zarr_format == format
    expected = loaded("plain").run({"x": x})
    np.testing.assert_allclose(made["pairs"][:], expected["pairs"], rtol=1e-5, atol=1e-6)


def test_kept_columns_of_any_type(tmp_path: Path) -> None:
    """Categories differ between row groups; times, structs and missing values stay."""
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    names = [f"name {n}" if n % 3 else None for n in range(20)]
    kept = {
        "category": pa.array(names).dictionary_encode(),
        "time": pa.array(range(20), pa.timestamp("us", "UTC")),
        "both": pa.array([{"a": n, "b": [str(n)]} for n in range(20)]),
    }
    x = pa.FixedSizeListArray.from_arrays(pa.array(rows(20).ravel()), 4)
    pq.write_table(pa.table({"x": x, **kept}), source, row_group_size=6)
    score(stored("plain"), source, target, keep=["*"], block_rows=4)
    made = pq.read_table(target)
    assert made.column_names == ["x", *kept, "logits", "pairs"]
    for name, column in kept.items():
        assert made[name].to_pylist() == column.to_pylist()


def test_columns_of_all_kinds(tmp_path: Path) -> None:
    """Lists of lists, tensors, integers, bools; missing numbers of floats are NaN."""
    generator = np.random.default_rng(0)
    image = generator.standard_normal((11, 2, 3)).astype(np.float32)
    image[3, 1, 2] = np.nan
    count, flag = np.arange(11), generator.random(11) < 0.5
    expected = loaded("two").run({"image": image, "count": count, "flag": flag})
    assert np.isnan(expected["total"][3])
    missing = pa.array(image.ravel(), from_pandas=True)
    assert missing.null_count == 1
    fixed = pa.FixedSizeListArray.from_arrays(pa.FixedSizeListArray.from_arrays(missing, 3), 2)
    tensors = pa.FixedShapeTensorArray.from_numpy_ndarray(image)
    for i, column in enumerate([fixed, pa.array(image.tolist(), pa.list_(pa.list_(pa.float32()))),
                                tensors]):  # fmt: skip
        source, target = tmp_path / f"{i}.parquet", tmp_path / f"{i}-out.parquet"
        table = pa.table({"id": [f"row {n}" for n in range(11)], "image": column,
                          "count": count, "flag": flag})  # fmt: skip
        pq.write_table(table, source, row_group_size=4)
        score(stored("two"), source, target, keep=["id", "c*"], block_rows=3)
        made = pq.read_table(target)
        assert made.column_names == ["id", "count", "total", "next"]
        assert made["id"].to_pylist() == table["id"].to_pylist()
        np.testing.assert_allclose(made["total"].to_numpy(), expected["total"], rtol=1e-5)
        np.testing.assert_array_equal(made["next"].to_numpy(), count + 1)


def test_many_columns_make_one_input(tmp_path: Path) -> None:
    x = rows(9)
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    pq.write_table(pa.table({f"c{i}": x[:, i] for i in (2, 0, 3, 1)}), source)
    expected = loaded("plain").run({"x": x[:, [2, 0, 3, 1]]})["logits"]
    score(stored("plain"), source, target, inputs={"x": "c*"})  # in the order of the file
    np.testing.assert_allclose(read(target, "logits"), expected, rtol=1e-5)
    named = ["c0", "c1", "c2", "c3"]
    score(stored("plain"), source, target, inputs={"x": named}, overwrite=True)
    expected = loaded("plain").run({"x": x})["logits"]
    np.testing.assert_allclose(read(target, "logits"), expected, rtol=1e-5)


def test_a_folder_of_parquet_files(tmp_path: Path) -> None:
    x = rows(30)
    folder = tmp_path / "in"
    folder.mkdir()
    for i, part in enumerate(np.split(x, [5, 5, 21])):
        write("parquet", folder, part)[0].rename(folder / f"part-{i}.parquet")
    target = tmp_path / "out.parquet"
    score(stored("plain"), folder, target, memory=SMALL)
    expected = loaded("plain").run({"x": x})["logits"]
    np.testing.assert_allclose(read(target, "logits"), expected, rtol=1e-5)
    pq.write_table(pa.table({"x": [1, 2]}), folder / "part-9.parquet")
    with pytest.raises(ScoringError, match=r"part-9.parquet: column 'x' is int64, in .*part-0"):
        score(stored("plain"), folder, target, overwrite=True)


# -- blocks and seeds ------------------------------------------------------------------------------


@settings(max_examples=25)
@given(
    count=st.integers(1, 60),
    kind=st.sampled_from(["npz", "parquet", "zarr"]),
    group=st.integers(1, 40),
    block=st.integers(1, 70),
    memory=st.sampled_from([1, 1 << 11, 1 << 30]),
    workers=st.integers(1, 3),
    training=st.booleans(),
)
def test_blocks_make_no_difference(
    count: int, kind: str, group: int, block: int, memory: int, workers: int, training: bool
) -> None:
    """However rows are cut and handed out, the answer is that of one run of each segment."""
    x = rows(count)
    expected = [
        loaded("plain").run({"x": x[a:b]}, training=training, seed=segment_seed(5, a // 8))
        for a, b in pieces(0, count, 8 if training else count, aligned=True)
    ]
    with tempfile.TemporaryDirectory() as folder:
        source, target = write(kind, Path(folder), x, group=group)
        done = score(
            stored("plain"), source, target, seed=5, segment=8, block_rows=block, memory=memory,
            workers=workers, training=training,
        )  # fmt: skip
        assert (done.seed, done.segment) == ((5, 8) if training else (None, None))
        for name in ("logits", "pairs"):
            whole = np.concatenate([run[name] for run in expected])
            found = read(target, name)
            np.testing.assert_allclose(found, whole, rtol=1e-5, atol=1e-6)
            np.testing.assert_array_equal(found == 0, whole == 0)  # the very same are dropped


def test_seeds_of_segments() -> None:
    assert segment_seed(7, 0) == 7
    found = {segment_seed(seed, n) for seed in range(10) for n in range(100)}
    assert len(found) == 1000
    assert all(0 <= seed < 2**63 for seed in found)
    assert [segment_rows(size) for size in (1, 1024, 1025, 1 << 19, 1 << 30)] == [
        1024, 1024, 512, 2, 1,
    ]  # fmt: skip
    assert list(pieces(5, 18, 8, aligned=True)) == [(5, 8), (8, 16), (16, 18)]
    assert list(pieces(5, 18, 8, aligned=False)) == [(5, 13), (13, 18)]


def test_a_fresh_seed_is_told(tmp_path: Path) -> None:
    source, target = write("npz", tmp_path, rows(2000))
    first = score(stored("plain"), source, target, training=True)
    assert first.seed is not None
    assert first.segment == first.block == 1024
    kept = read(target, "logits")
    again = {"overwrite": True, "training": True}
    assert score(stored("plain"), source, target, **again).seed != first.seed
    assert not np.array_equal(read(target, "logits"), kept)
    score(stored("plain"), source, target, seed=first.seed, **again)
    np.testing.assert_array_equal(read(target, "logits"), kept)


# -- interruptions ---------------------------------------------------------------------------------

INTERRUPTED = """
import os, signal, sys
from graphctx_onnx import score

def progress(stage, done, rows):
    if done * 2 >= rows:
        os.kill(os.getpid(), signal.SIGKILL)

score(sys.argv[1], sys.argv[2], sys.argv[3], training=True, seed=3, memory=4096,
      progress=progress)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGKILL")
@pytest.mark.parametrize("kind", ["npz", "parquet", "zarr"])
def test_a_killed_run_goes_on(kind: str, tmp_path: Path) -> None:
    source, target = write(kind, tmp_path, rows(400))
    script = [sys.executable, "-c", INTERRUPTED, stored("plain"), source, target]
    killed = subprocess.run(script, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    journal = tmp_path / f".{target.name}.scoring" / "journal"
    assert left(tmp_path) == {f".{target.name}.scoring"}
    with journal.open("a") as file:
        file.write("[1, ")  # as if the machine had stopped while this was written

    def again(**changed: Any) -> Any:
        return score(stored("plain"), source, target, **{"training": True, **changed})

    with pytest.raises(ScoringError, match=r"interrupted run .* differs in the seed; give what"):
        again(seed=4)
    with pytest.raises(ScoringError, match=r"differs in the context, the segment|in the context"):
        again(mode="high")
    with pytest.raises(ScoringError, match="differs in what is read and stored"):
        again(outputs=["pairs"])
    seen: list[tuple[str, int, int]] = []
    done = again(progress=lambda *told: seen.append(told))
    assert 200 <= done.resumed < 400
    assert seen[0] == ("scoring", done.resumed, 400)
    assert seen[-2:] == [("scoring", 400, 400), ("writing", 0, 1)]
    assert left(tmp_path) == {target.name}
    score(stored("plain"), source, tmp_path / f"whole.{kind}", training=True, seed=3, workers=1)
    for name in ("logits", "pairs"):
        np.testing.assert_array_equal(read(target, name), read(tmp_path / f"whole.{kind}", name))


def stopping(error: BaseException) -> Callable[[str, int, int], None]:
    def progress(stage: str, done: int, rows: int) -> None:
        if done:
            raise error

    return progress


def test_what_is_interrupted_stays_and_what_fails_does_not(tmp_path: Path) -> None:
    source, target = write("npz", tmp_path, rows(100))
    with pytest.raises(KeyboardInterrupt):
        score(stored("plain"), source, target, progress=stopping(KeyboardInterrupt()))
    assert left(tmp_path) == {".out.npz.scoring"}
    np.savez(source, x=rows(101))
    with pytest.raises(ScoringError, match="differs in the input; give what was given then"):
        score(stored("plain"), source, target)
    lost = stopping(ClusterError("gone"))
    with pytest.raises(ClusterError, match="gone"):
        score(stored("plain"), source, target, restart=True, progress=lost)
    assert score(stored("plain"), source, target).resumed > 0
    assert left(tmp_path) == {"out.npz"}
    for kind, error in [("npz", RuntimeError("stop")), ("parquet", OSError(errno.ENOSPC, "full"))]:
        source, target = write(kind, tmp_path, rows(100))
        with pytest.raises((RuntimeError, ScoringError), match=r"stop|cannot be written: full"):
            score(stored("plain"), source, target, overwrite=True, progress=stopping(error))
    assert left(tmp_path) == {"out.npz"}
    assert len(read(tmp_path / "out.npz", "logits")) == 101


@pytest.mark.parametrize("kind", ["npy", "npz", "parquet"])
def test_a_full_disk(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    source, target = write(kind, tmp_path, rows(100))
    bundle = stored("plain")  # made before the disk is full
    for name in ("fsync", "posix_fallocate"):
        if not hasattr(os, name) or (kind == "parquet" and name == "posix_fallocate"):
            continue
        with monkeypatch.context() as patch:
            patch.setattr(os, name, full)
            with pytest.raises(ScoringError, match=r"out\.\w+: cannot be written: No space left"):
                score(bundle, source, target, outputs=["logits"])
        assert left(tmp_path) == set()


def test_one_process_at_a_time(tmp_path: Path) -> None:
    source, target = write("npz", tmp_path, rows(10))

    def progress(stage: str, done: int, count: int) -> None:
        with pytest.raises(ScoringError, match="another process is scoring to it; wait for it"):
            score(stored("plain"), source, target)

    score(stored("plain"), source, target, progress=progress)
    assert left(tmp_path) == {"out.npz"}


def test_memory_is_bounded(tmp_path: Path) -> None:
    """Of 104 MiB of rows and outputs few are in memory at a time, what is mapped apart."""
    if not Path("/proc/self/status").exists():
        pytest.skip("needs /proc")
    for kind in ("npz", "parquet"):
        write(kind, tmp_path, np.zeros((2 << 20, 4), np.float32), group=1 << 16)
    script = textwrap.dedent("""
        import json, sys
        from pathlib import Path
        from graphctx_onnx import score

        def memory():
            lines = Path("/proc/self/status").read_text().splitlines()
            [line] = [line for line in lines if line.startswith("RssAnon")]
            return int(line.split()[1]) >> 10

        found = {}
        for kind in ("npz", "parquet"):
            seen = []
            score(sys.argv[1], f"in.{kind}", f"out.{kind}",
                  progress=lambda *told: seen.append(memory()))
            found[kind] = max(seen) - seen[0]
        print(json.dumps(found))
    """)
    run = subprocess.run(
        [sys.executable, "-c", script, stored("plain")],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert max(found.values()) < 48, found


def test_what_it_imports() -> None:
    """Neither graphctx nor onnx; pyarrow and Zarr for their files only."""
    allowed = {*sys.stdlib_module_names, "numpy", "dask", "distributed"}
    for path in SCORING.glob("*.py"):
        own = {"parquet.py": {"pyarrow"}, "zarr_folders.py": {"zarr"}}.get(path.name, set())
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module is not None:
                names = [node.module]
            for name in names:
                ours = name.startswith(("graphctx_onnx.runtime", "graphctx_onnx.scoring"))
                known = name.partition(".")[0] in allowed | own
                assert ours or known, f"{path.name} imports {name}"


# -- a cluster -------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")  # those of what it imports, and of its own shutdown
def test_a_cluster_of_two_processes(tmp_path: Path) -> None:
    from distributed import LocalCluster
    from graphctx_onnx.scoring import job

    with LocalCluster(
        n_workers=2, threads_per_worker=2, processes=True, dashboard_address=None,
        silence_logs=50,
    ) as cluster:  # fmt: skip
        address = cluster.scheduler_address
        for kind in ("npz", "parquet", "zarr"):
            source, target = write(kind, tmp_path, rows(300), group=16)
            done = score(
                stored("plain"), source, target, training=True, seed=9, memory=SMALL,
                scheduler=address,
            )  # fmt: skip
            assert done.workers == 4
            alone = tmp_path / f"alone.{kind}"
            score(stored("plain"), source, alone, training=True, seed=9, workers=1)
            np.testing.assert_array_equal(read(target, "logits"), read(alone, "logits"))
        client = cluster.get_client()
        counts = client.run(lambda: len(job._LOADED))
        assert set(counts.values()) == {1}  # one bundle, and so one session, for each process
        client.close()
        with pytest.raises(ScoringError, match="workers are threads of this process"):
            score(stored("plain"), source, tmp_path / "o.zarr", scheduler=address, workers=2)


@pytest.mark.filterwarnings("ignore")
def test_no_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from graphctx_onnx.scoring import crew

    monkeypatch.setattr(crew, "TIMEOUT", 0.3)
    source, target = write("npz", tmp_path, rows(3))
    with pytest.raises(ClusterError, match=r"no Dask scheduler answers at tcp://127.0.0.1:9"):
        score(stored("plain"), source, target, scheduler="tcp://127.0.0.1:9")
    assert left(tmp_path) == set()


# -- what is refused -------------------------------------------------------------------------------


def refused(match: str, tmp_path: Path, name: str, *arguments: Any, **options: Any) -> None:
    before = {path.name for path in tmp_path.iterdir()}
    with pytest.raises((ScoringError, ContextError, InvalidBundleError), match=match):
        score(name if name.startswith("/") else stored(name), *arguments, **options)
    assert {path.name for path in tmp_path.iterdir()} == before


def test_sources_and_targets_that_are_refused(tmp_path: Path) -> None:
    source, target = write("npz", tmp_path, rows(3))
    (tmp_path / "there.npz").touch()
    other = tmp_path / "in.csv"
    other.touch()
    (tmp_path / "broken.npz").write_bytes(b"PK")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    (tmp_path / "empty.zarr").mkdir()
    np.savez_compressed(tmp_path / "packed.npz", x=rows(3))
    np.save(tmp_path / "short.npy", rows(9))
    os.truncate(tmp_path / "short.npy", 200)
    np.save(tmp_path / "objects.npy", np.array([None]), allow_pickle=True)
    for match, arguments in {
        "exists; replace it with --overwrite": (source, tmp_path / "there.npz"),
        "is the input": (source, source),
        "does not exist": (source, tmp_path / "no" / "out.npz"),
        "rows are read from '.parquet', '.npy'": (other, target),
        "there is no such file": (tmp_path / "no.npz", target),
        "its name ends in '.npy', '.npz'": (source, tmp_path / "out.parquet"),
        r"broken.npz: not a .npz file": (tmp_path / "broken.npz", target),
        "is compressed, so rows in the middle": (tmp_path / "packed.npz", target),
        "shorter than its header says": (tmp_path / "short.npy", target),
        "it has Python objects": (tmp_path / "objects.npy", target),
        "not a Parquet file": (tmp_path / "broken.parquet", tmp_path / "out.parquet"),
        "empty.zarr: not a Zarr folder": (tmp_path / "empty.zarr", tmp_path / "out.zarr"),
        "there are 2 outputs": (source, tmp_path / "out.npy"),
    }.items():
        refused(match, tmp_path, "plain", *arguments)
    refused("holds no bundle|no bundle|manifest", tmp_path, str(tmp_path), source, target)
    refused("no context argument 'mod'; did you mean", tmp_path, "plain", source, target, mod="low")
    refused("got 'loud'; allowed: 'low'", tmp_path, "plain", source, target, mode="loud")
    refused("no input 'y'", tmp_path, "plain", source, target, inputs={"y": "x"})
    refused("no output 'logit'; did you", tmp_path, "plain", source, target, outputs=["logit"])
    refused("columns to keep are those of", tmp_path, "plain", source, target, keep=["id"])
    refused("block_rows is a number from 1", tmp_path, "plain", source, target, block_rows=0)
    refused("is one array, got 'a', 'b'", tmp_path, "plain", source, target,
            inputs={"x": ["a", "b"]})  # fmt: skip


@pytest.mark.parametrize(
    ("arrays", "match"),
    [
        ({"y": rows(3)}, r"no array 'x' for the input 'x'; did you mean|no array 'x' .*are: 'y'"),
        ({"x": rows(3).astype("f8")}, r"needs float32\[rows, 4\], got float64\[.*--cast"),
        ({"x": rows(3).astype("i8") > 0}, r"got bool\[rows, 4\].*--cast"),
        ({"x": rows(3, 5)}, r"needs float32\[rows, 4\], got float32\[rows, 5\]"),
        ({"x": np.float32(1)}, "has no axes, so no rows"),
        ({"x": rows(0)}, "has no rows"),
        ({"x": rows(3).astype("c8")}, "no dtype of that kind"),
    ],
)
def test_arrays_that_are_refused(arrays: dict[str, Any], match: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", **arrays)
    refused(match, tmp_path, "plain", tmp_path / "in.npz", tmp_path / "out.npz")
    group = zarr.create_group(tmp_path / "in.zarr")
    for name, array in arrays.items():
        group.create_array(name, data=np.asarray(array))
    refused(match, tmp_path, "plain", tmp_path / "in.zarr", tmp_path / "out.zarr")


def lists(*values: Any) -> Any:
    return pa.array(values, pa.list_(pa.float32()))


@pytest.mark.parametrize(
    ("columns", "options", "match"),
    [
        ({"X": lists([1] * 4)}, {}, r"no column 'x' for the input 'x': float32\[rows, 4\].*'X'"),
        ({"x": lists([1] * 4, [1] * 3)}, {}, r"column 'x', rows 0 to 2: has lists of 3 to 4"),
        ({"x": lists([1] * 4, None)}, {}, "has missing lists; fill them"),
        ({"x": pa.array(["a"])}, {}, r"needs float32\[rows, 4\], got string\[rows, 1\]"),
        ({"x": pa.array([None], pa.date32())}, {}, r"is date32\[day\]; tensors have numbers"),
        ({"a": [1.0], "b": [1.0]}, {"inputs": {"x": "a,b"}}, "names the column 'a,b', which is"),
        ({"a": [1.0], "b": [1.0]}, {"inputs": {"x": "*"}}, r"got float64\[rows, 2\]"),
        ({"a": [1.0], "b": ["1"]}, {"inputs": {"x": "*"}}, "of one type, got double, string"),
        ({"x": lists([1] * 4)}, {"keep": ["ID"]}, "--keep names the column 'ID', which is not"),
        ({"x": lists([1] * 4), "logits": [1]}, {"keep": ["logits"]}, "name of a column to keep"),
        ({"x": lists()}, {}, "has no rows"),
    ],
)
def test_columns_that_are_refused(
    columns: dict[str, Any], options: dict[str, Any], match: str, tmp_path: Path
) -> None:
    pq.write_table(pa.table(columns), tmp_path / "in.parquet")
    refused(match, tmp_path, "plain", tmp_path / "in.parquet", tmp_path / "o.parquet", **options)


def test_values_that_are_refused(tmp_path: Path) -> None:
    image = pa.array(np.zeros((3, 2, 3), np.float32).tolist())
    columns = {"image": image, "count": pa.array([1, None, 3]), "flag": [True] * 3}
    pq.write_table(pa.table(columns), tmp_path / "in.parquet")
    paths = tmp_path / "in.parquet", tmp_path / "out.parquet"
    refused("column 'count', .*has missing values, which int64 has no", tmp_path, "two", *paths,
            cast=True)  # fmt: skip
    arrays = {"image": np.zeros((2, 2, 3)), "flag": [True] * 2}
    np.savez(tmp_path / "in.npz", count=np.array([1, 1 << 63], np.uint64), **arrays)
    paths = tmp_path / "in.npz", tmp_path / "out.npz"
    refused("count.: uint64 values do not fit into int64", tmp_path, "two", *paths, cast=True)
    np.savez(tmp_path / "in.npz", count=np.array([1, 2], np.int8), **arrays)
    score(stored("two"), *paths, cast=True)
    np.testing.assert_array_equal(read(paths[1], "next"), [2, 3])
    np.savez(tmp_path / "in.npz", count=np.zeros(3, np.int64), **arrays)
    refused("different numbers of rows: image: 2, count: 3", tmp_path, "two", *paths, cast=True,
            overwrite=True)  # fmt: skip


def test_what_is_wrong_in_the_middle(tmp_path: Path) -> None:
    """It is found when most rows are scored already; nothing is left of these."""
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    pq.write_table(pa.table({"x": lists(*[[1] * 4] * 90, [1] * 5)}), source, row_group_size=10)
    refused("rows 90 to 91: .5. for a row, and .4. in the first row", tmp_path, "plain", source,
            target, memory=SMALL)  # fmt: skip
    pq.write_table(pa.table({"x": lists(*[[1] * 4] * 90, None)}), source, row_group_size=10)
    refused("rows 90 to 91: has missing lists", tmp_path, "plain", source, target, memory=SMALL)
    source, target = write("parquet", tmp_path, rows(5000), group=1000)
    damaged = bytearray(source.read_bytes())
    damaged[len(damaged) // 2 : len(damaged) // 2 + 9000] = bytes(9000)
    source.write_bytes(damaged)
    refused("in.parquet: (is damaged|cannot be read)", tmp_path, "plain", source, target)
    source, target = write("zarr", tmp_path, rows(90))
    [*_, last] = sorted(path for path in (source / "x" / "c").rglob("*") if path.is_file())
    last.write_bytes(b"damaged")
    refused("in.zarr, 'x', rows .*: cannot be read", tmp_path, "plain", source, target)


def test_programs_that_are_refused(tmp_path: Path) -> None:
    source, target = write("npz", tmp_path, rows(20))
    refused("rows of the program for always depend on each other: the output 'output' of rows 0",
            tmp_path, "centered", source, target)  # fmt: skip
    refused("for training=True depend on each other", tmp_path, "normed", source, target,
            training=True)  # fmt: skip
    score(stored("normed"), source, target, training=False)
    target.unlink()
    refused(r"output 'mean' is not one for each row: float32\[\] for 8 rows", tmp_path, "mean",
            source, target)  # fmt: skip
    score(stored("mean"), source, target, outputs=["twice"])
    target.unlink()
    refused(r"takes 'x' as float32\[3, 4\], whose first axis is not open", tmp_path, "fixed",
            source, target)  # fmt: skip


def test_an_output_folder_is_replaced_whole(tmp_path: Path) -> None:
    source, target = write("zarr", tmp_path, rows(20))
    target.mkdir()
    (target / "other").touch()
    score(stored("plain"), source, target, overwrite=True)
    assert not (target / "other").exists()
    assert read(target, "logits").shape == (20, 3)
    assert left(tmp_path) == {"out.zarr"}
