"""Ways to spoil a file. All are pure: the same random numbers give the same bytes."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from random import Random

INTERESTING_BYTES = bytes([0, 1, 0x7F, 0x80, 0xFE, 0xFF])
INTERESTING_WORDS = (0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFE, 0x10000)


def flip_bits(data: bytearray, random: Random) -> None:
    for _ in range(random.choice((1, 1, 4, 32, len(data) // 200 + 1))):
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def set_bytes(data: bytearray, random: Random) -> None:
    for _ in range(random.choice((1, 3, 16))):
        data[random.randrange(len(data))] = random.choice(INTERESTING_BYTES)


def set_word(data: bytearray, random: Random) -> None:
    """A whole number where one may stand: sizes, counts, times, dimensions."""
    for _ in range(random.choice((1, 1, 3))):
        size, code = random.choice(((2, "H"), (4, "I"), (4, "I")))
        if len(data) > size:
            at = random.randrange(len(data) - size)
            value = random.choice((*INTERESTING_WORDS, len(data), random.getrandbits(32))) % (1 << 8 * size)
            struct.pack_into(random.choice("<>") + code, data, at, value)


def spoil_box(data: bytearray, random: Random) -> None:
    """A word just behind a four-letter code: the fields of MP4 boxes, RIFF chunks and the like."""
    codes = [at for at in range(4, min(len(data) - 40, 20_000)) if data[at : at + 4].isalpha()]
    if codes:
        at = random.choice(codes) + 4 * random.choice((-1, 1, 2, 3, 4, 5, 6))
        struct.pack_into(
            random.choice("<>") + "I", data, at, random.choice((*INTERESTING_WORDS, random.getrandbits(32)))
        )


def cut(data: bytearray, random: Random) -> None:
    del data[random.randrange(len(data)) :]


def remove_part(data: bytearray, random: Random) -> None:
    start, length = _part(data, random)
    del data[start : start + length]


def repeat_part(data: bytearray, random: Random) -> None:
    start, length = _part(data, random)
    data[start:start] = data[start : start + length] * random.choice((1, 2, 50))


def zero_part(data: bytearray, random: Random) -> None:
    start, length = _part(data, random)
    data[start : start + length] = bytes(min(length, len(data) - start))


def noise_part(data: bytearray, random: Random) -> None:
    start, length = _part(data, random)
    data[start : start + length] = random.randbytes(length)


def swap_parts(data: bytearray, random: Random) -> None:
    first, length = _part(data, random)
    second = random.randrange(len(data))
    one, two = bytes(data[first : first + length]), bytes(data[second : second + length])
    data[first : first + length], data[second : second + length] = two, one


def _part(data: bytearray, random: Random) -> tuple[int, int]:
    start = random.randrange(len(data))
    return start, random.choice((1, 4, 16, 188, 1024, len(data) // 3 + 1))


MUTATIONS: tuple[Callable[[bytearray, Random], None], ...] = (
    flip_bits,
    flip_bits,
    set_bytes,
    set_word,
    set_word,
    spoil_box,
    spoil_box,
    spoil_box,
    cut,
    remove_part,
    repeat_part,
    zero_part,
    noise_part,
    swap_parts,
)


def mutate(seeds: Mapping[str, bytes], random: Random) -> tuple[str, bytes]:
    """A seed's name and its bytes after one to four mutations; now and then the tail of another seed behind them."""
    name = random.choice(list(seeds))
    data = bytearray(seeds[name])
    for _ in range(random.choice((1, 1, 2, 4))):
        if data:
            random.choice(MUTATIONS)(data, random)
    if random.random() < 0.05:
        other = seeds[random.choice(list(seeds))]
        data += other[random.randrange(len(other)) :]
    return name, bytes(data)
