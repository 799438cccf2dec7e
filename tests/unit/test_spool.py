from __future__ import annotations

import random
from pathlib import Path

import pytest

from shared.backends.spool import Spool


def test_runs_and_gaps_agree_with_a_plain_map(tmp_path: Path) -> None:
    dice = random.Random(3)
    spool = Spool(tmp_path)
    truth: list[int | None] = [None] * 400
    for _ in range(120):
        offset, data = dice.randrange(380), dice.randbytes(dice.randrange(1, 20))
        spool.write(offset, data)
        truth[offset : offset + len(data)] = data
        start, stop = sorted(dice.sample(range(400), 2))
        missing = {at for gap in spool.missing(start, stop) for at in range(*gap)}
        assert missing == {at for at in range(start, stop) if at >= len(truth) or truth[at] is None}
        assert spool.filled_bytes == sum(byte is not None for byte in truth)
    for start, stop in [(0, 10), (100, 350)]:
        held = spool.read(start, stop - start)
        assert all(byte is None or byte == held[at] for at, byte in enumerate(truth[start:stop]) if at < len(held))
    spool.close()


@pytest.mark.parametrize("linkable", [True, False])
def test_the_file_is_nameless_until_it_is_handed_over(
    tmp_path: Path, linkable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not linkable:
        monkeypatch.setattr("shared.backends.spool.os.link", lambda *_, **__: (_ for _ in ()).throw(OSError()))
    spool = Spool(tmp_path)
    spool.write(0, b"hello")
    assert list(tmp_path.iterdir()) == []
    spool.hand_over(tmp_path / "named")
    spool.hand_over(tmp_path / "again")
    spool.close()
    assert (tmp_path / "named").read_bytes() == (tmp_path / "again").read_bytes() == b"hello"
