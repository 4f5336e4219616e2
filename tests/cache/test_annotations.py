"""The schema of annotations: what each kind may be, and what is said of what it may not be."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest

from foresight_cache.annotations import ANNOTATION_KINDS, check_annotations
from foresight_cache.errors import BadSample

WIDTH, HEIGHT = 64, 48
SOUND: dict[str, Any] = {
    "objects": [
        {
            "box": [0, 1.5, 64, 48],
            "category": "Tasse à café",
            "category_id": 90,
            "crowd": False,
            "area": 12.5,
            "annotation_id": 7,
            "segmentation": {"size": [48, 64], "counts": "abc"},
            "keypoints": [1.0, 2, 2, 0, 0, 0],
        }
    ],
    "captions": ["a cup"],
    "scene": "kitchen",
    "class": {"name": "cup", "id": 0},
    "labels": {"classes": {"count": 150}, "ignore": 0},
    "action": {
        "label": "pushing a cup from left to right",
        "template": "Pushing [something] from left to right",
        "class": "Pushing something from left to right",
        "class_id": 94,
        "direction": "right",
        "placeholders": ["a cup"],
    },
    "motion": {
        "objects": [
            {
                "positions": [[1, 2], [3.5, 2]],
                "velocity": [2.5, 0],
                "speed": 2.5,
                "direction": None,
                "category": "ball",
            }
        ]
    },
    "tracks": {
        "frames_per_second": 12,
        "frames": [0, 1, 3],
        "objects": [
            {
                "category": "hand",
                "category_id": 1,
                "annotation_id": "object hand",
                "name": "hand",
                "boxes": [[0, 0, 64, 48], None, [1.5, 2, 3, 4]],
            }
        ],
    },
    "tags": {"indoor": "yes", "light": "bright day"},
    "qa": {
        "question": "What is it?",
        "answer": "A cup.",
        "hallucinated": None,
        "references": ["cup"],
        "type": "x",
        "source": "pope",
    },
}


def problem(kind: str, change: Any) -> str:
    """What is said once `change` was made to the sound annotations of a kind."""
    annotations = copy.deepcopy({kind: SOUND[kind]})
    place = annotations[kind]
    if isinstance(change, dict) and isinstance(place, dict | list):
        target = place[0] if isinstance(place, list) else place["objects"][0] if kind in ("motion", "tracks") else place
        target.update(change)
        for name in [name for name, value in change.items() if value is ...]:
            del target[name]
    else:
        annotations[kind] = change
    with pytest.raises(BadSample) as caught:
        check_annotations(annotations, width=WIDTH, height=HEIGHT)
    return str(caught.value)


def test_all_kinds_are_sound_and_documented() -> None:
    check_annotations(SOUND, width=WIDTH, height=HEIGHT)
    assert tuple(SOUND) == ANNOTATION_KINDS
    page = (Path(__file__).resolve().parents[2] / "docs" / "cache_format.md").read_text()
    described = dict(
        re.findall(r"^\| `(\w+)` \| (.*) \|$", page.split("### Sample")[1].split("\n## ")[0], re.MULTILINE)
    )
    assert set(described) == set(SOUND)
    for kind, value in SOUND.items():
        record = value[0] if isinstance(value, list) else value
        fields = [record] if isinstance(record, dict) else []
        fields += [record["objects"][0]] if kind in ("motion", "tracks") else []
        fields = [] if kind == "tags" else fields  # whatever its owner calls them
        assert [name for each in fields for name in each if name not in described[kind]] == []


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("objects", {"box": [0, 0, 65, 9]}, "annotations.objects[0].box is [0, 0, 65, 9], which is not as the schema"),
        ("objects", {"box": [5, 0, 4, 9]}, "annotations.objects[0].box"),
        ("objects", {"box": [0, -1, 4, 9]}, "annotations.objects[0].box"),
        ("objects", {"box": [0, 0, float("nan"), 9]}, "annotations.objects[0].box"),
        ("objects", {"box": [0, 0, True, 9]}, "annotations.objects[0].box"),
        ("objects", {"area": -1}, "annotations.objects[0].area is -1"),
        ("objects", {"crowd": 0}, "annotations.objects[0].crowd is 0"),
        ("objects", {"category": "\ud800"}, "annotations.objects[0].category"),
        ("objects", {"category": ...}, "annotations.objects[0] has no 'category'"),
        ("objects", {"score": 1}, "annotations.objects[0] has the field 'score', which the schema does not know"),
        ("objects", {"segmentation": {"size": [64, 48], "counts": "a"}}, "annotations.objects[0].segmentation"),
        ("objects", {"segmentation": [[1, 2, 3]]}, "annotations.objects[0].segmentation"),
        ("objects", {"keypoints": [1, 2]}, "annotations.objects[0].keypoints"),
        ("objects", {"keypoints": [1, 2, 3]}, "annotations.objects[0].keypoints"),
        ("objects", "nothing", "annotations.objects is 'nothing', expected a list"),
        ("captions", [""], "annotations.captions"),
        ("tracks", {"boxes": [None, None]}, "annotations.tracks.objects[0].boxes is [None, None], which"),
        ("tracks", {"boxes": [[0, 0, 65, 9], None, None]}, "annotations.tracks.objects[0].boxes"),
        ("tracks", {"score": 1}, "annotations.tracks.objects[0] has the field 'score'"),
        ("tags", {"indoor": True}, "annotations.tags is"),
        ("tags", ["indoor"], "annotations.tags is"),
        ("scene", 3, "annotations.scene is 3, expected a text"),
        ("class", {"id": -1}, "annotations.class.id is -1"),
        ("labels", {"classes": {"count": 256}}, "annotations.labels.classes"),
        ("labels", {"classes": []}, "annotations.labels.classes"),
        ("labels", {"ignore": 256}, "annotations.labels.ignore is 256"),
        ("action", {"class_id": "1"}, "annotations.action.class_id is '1'"),
        ("action", {"direction": ""}, "annotations.action.direction"),
        ("motion", {"positions": []}, "annotations.motion.objects[0].positions"),
        ("motion", {"velocity": [1]}, "annotations.motion.objects[0].velocity"),
        ("motion", {"speed": float("inf")}, "annotations.motion.objects[0].speed is inf"),
        ("qa", {"question": None}, "annotations.qa.question is None"),
        ("qa", {"hallucinated": 1}, "annotations.qa.hallucinated is 1"),
        ("qa", {"source": 1}, "annotations.qa.source is 1"),
        ("qa", [], "annotations.qa is [], expected an object"),
    ],
)
def test_what_is_not_of_the_schema_is_named(kind: str, change: Any, message: str) -> None:
    assert problem(kind, change).startswith(message)


def test_an_unknown_kind() -> None:
    with pytest.raises(BadSample, match="annotations have the kind 'boxes', expected some of objects, captions"):
        check_annotations({"boxes": []}, width=WIDTH, height=HEIGHT)
