"""FARM_FINGERPRINT: FarmHash's Fingerprint64 (its function `farmhashna::Hash64`), which never changes."""

from __future__ import annotations

from typing import Final

_MASK: Final = (1 << 64) - 1
_K0: Final = 0xC3A5C85C97CB3127
_K1: Final = 0xB492B66FBE98F273
_K2: Final = 0x9AE16A3B2F90404F


def farm_fingerprint(data: bytes) -> int:
    """Return the fingerprint of `data` as an INT64."""
    value = _fingerprint(bytes(data))
    return value - (1 << 64) if value >> 63 else value


def _at(data: bytes, place: int, size: int = 8) -> int:
    return int.from_bytes(data[place : place + size], "little")


def _rotated(value: int, bits: int) -> int:
    return ((value >> bits) | (value << (64 - bits))) & _MASK


def _shifted(value: int) -> int:
    return value ^ (value >> 47)


def _mixed(u: int, v: int, factor: int) -> int:
    a = _shifted(((u ^ v) * factor) & _MASK)
    b = _shifted(((v ^ a) * factor) & _MASK)
    return (b * factor) & _MASK


def _fingerprint(data: bytes) -> int:
    size = len(data)
    if size <= 16:
        return _up_to_16(data)
    if size <= 32:
        return _up_to_32(data)
    if size <= 64:
        return _up_to_64(data)
    return _longer(data)


def _up_to_16(data: bytes) -> int:
    size = len(data)
    if size >= 8:
        factor = _K2 + size * 2
        a = (_at(data, 0) + _K2) & _MASK
        b = _at(data, size - 8)
        c = (_rotated(b, 37) * factor + a) & _MASK
        d = ((_rotated(a, 25) + b) * factor) & _MASK
        return _mixed(c, d, factor)
    if size >= 4:
        factor = _K2 + size * 2
        return _mixed((size + (_at(data, 0, 4) << 3)) & _MASK, _at(data, size - 4, 4), factor)
    if size > 0:
        first, middle, last = data[0], data[size >> 1], data[size - 1]
        y = first + (middle << 8)
        z = size + (last << 2)
        return (_shifted(((y * _K2) & _MASK) ^ ((z * _K0) & _MASK)) * _K2) & _MASK
    return _K2


def _up_to_32(data: bytes) -> int:
    size = len(data)
    factor = _K2 + size * 2
    a = (_at(data, 0) * _K1) & _MASK
    b = _at(data, 8)
    c = (_at(data, size - 8) * factor) & _MASK
    d = (_at(data, size - 16) * _K2) & _MASK
    u = (_rotated((a + b) & _MASK, 43) + _rotated(c, 30) + d) & _MASK
    v = (a + _rotated((b + _K2) & _MASK, 18) + c) & _MASK
    return _mixed(u, v, factor)


def _up_to_64(data: bytes) -> int:
    size = len(data)
    factor = _K2 + size * 2
    a = (_at(data, 0) * _K2) & _MASK
    b = _at(data, 8)
    c = (_at(data, size - 8) * factor) & _MASK
    d = (_at(data, size - 16) * _K2) & _MASK
    y = (_rotated((a + b) & _MASK, 43) + _rotated(c, 30) + d) & _MASK
    z = _mixed(y, (a + _rotated((b + _K2) & _MASK, 18) + c) & _MASK, factor)
    e = (_at(data, 16) * factor) & _MASK
    f = _at(data, 24)
    g = ((y + _at(data, size - 32)) * factor) & _MASK
    h = ((z + _at(data, size - 24)) * factor) & _MASK
    u = (_rotated((e + f) & _MASK, 43) + _rotated(g, 30) + h) & _MASK
    v = (e + _rotated((f + a) & _MASK, 18) + g) & _MASK
    return _mixed(u, v, factor)


def _weak(data: bytes, place: int, a: int, b: int) -> tuple[int, int]:
    """Mix 32 bytes with two seeds."""
    w, x, y, z = (_at(data, place + 8 * number) for number in range(4))
    a = (a + w) & _MASK
    b = _rotated((b + a + z) & _MASK, 21)
    c = a
    a = (a + x + y) & _MASK
    b = (b + _rotated(a, 44)) & _MASK
    return (a + z) & _MASK, (b + c) & _MASK


def _longer(data: bytes) -> int:
    size = len(data)
    seed = 81
    x = seed
    y = (seed * _K1 + 113) & _MASK
    z = (_shifted((y * _K2 + 113) & _MASK) * _K2) & _MASK
    v, w = (0, 0), (0, 0)
    x = (x * _K2 + _at(data, 0)) & _MASK
    end = ((size - 1) // 64) * 64
    last = end + ((size - 1) & 63) - 63
    place = 0
    while place != end:
        x = (_rotated((x + y + v[0] + _at(data, place + 8)) & _MASK, 37) * _K1) & _MASK
        y = (_rotated((y + v[1] + _at(data, place + 48)) & _MASK, 42) * _K1) & _MASK
        x ^= w[1]
        y = (y + v[0] + _at(data, place + 40)) & _MASK
        z = (_rotated((z + w[0]) & _MASK, 33) * _K1) & _MASK
        v = _weak(data, place, (v[1] * _K1) & _MASK, (x + w[0]) & _MASK)
        w = _weak(data, place + 32, (z + w[1]) & _MASK, (y + _at(data, place + 16)) & _MASK)
        z, x = x, z
        place += 64
    factor = (_K1 + ((z & 0xFF) << 1)) & _MASK
    place = last
    w = ((w[0] + ((size - 1) & 63)) & _MASK, w[1])
    v = ((v[0] + w[0]) & _MASK, v[1])
    w = ((w[0] + v[0]) & _MASK, w[1])
    x = (_rotated((x + y + v[0] + _at(data, place + 8)) & _MASK, 37) * factor) & _MASK
    y = (_rotated((y + v[1] + _at(data, place + 48)) & _MASK, 42) * factor) & _MASK
    x ^= (w[1] * 9) & _MASK
    y = (y + v[0] * 9 + _at(data, place + 40)) & _MASK
    z = (_rotated((z + w[0]) & _MASK, 33) * factor) & _MASK
    v = _weak(data, place, (v[1] * factor) & _MASK, (x + w[0]) & _MASK)
    w = _weak(data, place + 32, (z + w[1]) & _MASK, (y + _at(data, place + 16)) & _MASK)
    z, x = x, z
    u = (_mixed(v[0], w[0], factor) + _shifted(y) * _K0 + z) & _MASK
    return _mixed(u, (_mixed(v[1], w[1], factor) + x) & _MASK, factor)
