"""Which frames of a clip are there: those that FFmpeg shows of it, whatever its packets and its header count."""

from dataclasses import replace
from typing import Any

import pytest

from foresight_cache.errors import BadSample
from foresight_cache.media.clips import clip_facts, decode_clip
from tests.support.changed_clips import PlainPacket, repacked, shown_by_ffmpeg, with_edits, with_packet_before
from tests.support.made_clips import counting, number_in

STEADY = {"rate": 10, "options": {"g": "8", "bf": "0", "sc_threshold": "0"}}
WITH_B_FRAMES = {"rate": 10, "options": {"g": "8", "bf": "3", "sc_threshold": "0"}}
OPEN_GROUPS = {"rate": 10, "options": {"g": "8", "bf": "3", "sc_threshold": "0", "x264-params": "open-gop=1"}}
H265 = {"rate": 10, "codec": "libx265", "options": {"x265-params": "open-gop=1:keyint=10:bframes=3:log-level=none"}}
MPEG4 = {"rate": 10, "codec": "mpeg4", "options": {"g": "8"}}
MPEG2 = {"container": "matroska", "codec": "mpeg2video", "options": {"g": "8", "bf": "2"}}
VP8 = {"container": "webm", "codec": "libvpx", "options": {"g": "8"}}
VP9 = {"container": "webm", "options": {"g": "8"}}


def numbers(data: bytes) -> list[int]:
    """Numbers that the frames carry, of which each is asked for alone as well."""
    frames = clip_facts({"mp4": data}, deep=True).frames
    together = [number_in(pixels) for pixels in decode_clip({"mp4": data}, range(frames))]
    assert [number_in(decode_clip({"mp4": data}, [n])[0]) for n in range(frames)] == together
    return together


def numbers_by_ffmpeg(data: bytes) -> list[int]:
    return [number_in(pixels) for pixels in shown_by_ffmpeg(data)]


@pytest.mark.parametrize("how", [STEADY, WITH_B_FRAMES, OPEN_GROUPS, H265], ids=["steady", "B", "open", "h265"])
class TestEditLists:
    """All pictures stay in the file, and its edit list says which of them are shown; by hand and by FFmpeg."""

    @pytest.mark.parametrize(
        ("edits", "shown"),
        [
            ([(10, 10)], range(10, 20)),
            ([(3, 3)], range(3, 6)),
            ([(1, 23)], [23]),
            ([(2.5, 3.5)], [4, 5]),  # as FFmpeg does, which leaves out a frame that has begun before the edit
            ([(90, 9)], range(9, 24)),
            ([(5, None), (10, 10)], range(10, 20)),
            ([(5, 13), (6, 2)], [*range(13, 18), *range(2, 8)]),
            ([(5, 3), (5, 3)], [*range(3, 8), *range(3, 8)]),
        ],
        ids=["trimmed", "short", "last", "between", "beyond", "delayed", "two", "twice"],
    )
    def test_shown(self, how: dict[str, Any], edits: list[Any], shown: Any) -> None:
        data = with_edits(counting(24, **how), *edits)
        assert numbers(data) == list(shown) == numbers_by_ffmpeg(data)
        if len(edits) == 1 and len(shown) > 1:
            assert clip_facts({"mp4": data}).frames_per_second == 10

    def test_with_a_pause_between(self, how: dict[str, Any]) -> None:
        data = with_edits(counting(24, **how), (5, 3), (3, None), (5, 12))
        assert numbers(data) == numbers_by_ffmpeg(data)
        assert numbers(data)[:5] == [3, 4, 5, 6, 7]

    def test_nothing_shown(self, how: dict[str, Any]) -> None:
        with pytest.raises(BadSample, match="edit list shows none of its frames"):
            clip_facts({"mp4": with_edits(counting(24, **how), (5, 900))})


KINDS: dict[str, dict[str, Any]] = {
    "steady": STEADY,
    "B": WITH_B_FRAMES,
    "open": OPEN_GROUPS,
    "h265": H265,
    "mpeg2": MPEG2,
    "vp8": VP8,
    "vp9": VP9,
}


class TestStarts:
    """Streams that begin between keyframes show nothing before the first of them."""

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("first", [3, 5])
    def test_between_keyframes(self, kind: str, first: int) -> None:
        data = repacked(counting(24, **KINDS[kind]), lambda packets: packets[first:])
        shown = numbers(data)
        assert shown == numbers_by_ffmpeg(data)
        assert 8 <= shown[0] <= 12
        assert shown[-1] == 23

    @pytest.mark.parametrize("kind", KINDS)
    def test_at_a_keyframe_that_is_not_shown_first(self, kind: str) -> None:
        """Pictures of an open group that lead the keyframe build upon the group before, which was cut away."""

        def from_the_second(packets: list[PlainPacket]) -> list[PlainPacket]:
            return packets[[place for place, packet in enumerate(packets) if packet.is_keyframe][1] :]

        data = repacked(counting(24, **KINDS[kind]), from_the_second)
        shown = numbers(data)
        assert shown == numbers_by_ffmpeg(data) == list(range(shown[0], 24))

    def test_pictures_built_upon_nothing(self) -> None:
        """FFmpeg's decoder of MPEG-4 paints them on grey, as nothing that was filmed."""
        data = repacked(counting(24, **MPEG4), lambda packets: packets[5:])
        assert numbers_by_ffmpeg(data)[:3] != [5, 6, 7]
        assert numbers(data) == list(range(8, 24))

    @pytest.mark.parametrize("kind", ["steady", "vp9"])
    def test_without_any_keyframe(self, kind: str) -> None:
        data = repacked(counting(8, **KINDS[kind]), lambda packets: packets[2:])
        with pytest.raises(BadSample, match="decoded"):
            clip_facts({"mp4": data})


class TestPacketsWithoutPicture:
    """Packets that only describe, or say that a picture was skipped, are no frames."""

    @pytest.mark.parametrize(
        ("how", "unit"),
        [
            (STEADY, b"\0\0\0\4\6\5\1\0"),  # supplemental information
            (WITH_B_FRAMES, b"\0\0\0\2\t\x30"),  # a delimiter
            (H265, b"\0\0\0\3\x46\1\x50"),  # a delimiter of H.265
            (MPEG4, b"\0\0\1\xb6\x53\x9f"),  # a picture of number 3 in its second that is not coded
        ],
        ids=["h264", "h264-B", "h265", "mpeg4"],
    )
    def test_between_others(self, how: dict[str, Any], unit: bytes) -> None:
        data = repacked(counting(24, **how), lambda packets: with_packet_before(packets, 12, unit))
        assert numbers(data) == numbers_by_ffmpeg(data) == list(range(24))
        assert clip_facts({"mp4": data}).frames_per_second == 10


@pytest.mark.parametrize("shift", [0, 4, -4])
@pytest.mark.parametrize("how", [WITH_B_FRAMES, OPEN_GROUPS, H265], ids=["B", "open", "h265"])
def test_times_that_begin_below_zero(how: dict[str, Any], shift: int) -> None:
    """B-frames leave the first times of decoding below zero; what is shown before zero is cut by an edit list."""

    def shifted(packets: list[PlainPacket]) -> list[PlainPacket]:
        by = shift * 1024  # of a frame's time
        return [replace(p, pts=(p.pts or 0) + by, dts=(p.dts or 0) + by) for p in packets]

    data = repacked(counting(24, **how), shifted, "mp4")
    assert numbers(data) == numbers_by_ffmpeg(data) == list(range(max(0, -shift), 24))
