"""The documents keep up with the code: every setting, every folder, every link."""

import re
from pathlib import Path

import pytest

from gkm.config import TrialConfig, network_kinds

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(path for pattern in ("*.md", "docs/**/*.md", "cluster/*.md") for path in ROOT.glob(pattern))


def test_every_setting_of_every_network_is_documented_with_its_default():
    text = (ROOT / "docs/configuration.md").read_text()
    networks, _, others = text.partition("\n## `data`")
    parts = dict(re.findall(r"^### `(\w+)`\n(.*?)(?=^##|\Z)", networks, re.MULTILINE | re.DOTALL))
    assert tuple(parts) == network_kinds()
    for kind, part in parts.items():
        config = TrialConfig().with_values({"model.kind": kind, "data.crop_pixels": 2048})
        expected = {path: str(value) for path, value in config.flat().items() if path.startswith("model.")}
        assert rows_of(part) == expected
    sections = TrialConfig().model_dump(mode="json")
    del sections["model"]
    shared = {
        f"{section}.{name}": str(value) for section, content in sections.items() for name, value in content.items()
    }
    assert rows_of(others) == shared


def rows_of(text):
    """Setting -> default in the tables of `text`."""
    return dict(re.findall(r"^\| `(\w+\.\w+)` \| (\S+) \|", text, re.MULTILINE))


def test_search_space_in_the_document_is_valid(tmp_path):
    from gkm.study.design.design import load_space
    from gkm.study.design.space import SearchSpace

    text = (ROOT / "docs/configuration.md").read_text()
    code = re.search(r"^    from gkm\.config.*?^    \)$", text, re.MULTILINE | re.DOTALL)[0]
    path = tmp_path / "space.py"
    path.write_text(re.sub(r"^    ", "", code, flags=re.MULTILINE))
    space = load_space(path)
    assert isinstance(space, SearchSpace)
    assert (space.trials, space.confirm) == (24, 3)


def test_every_part_is_on_the_road_map():
    text = (ROOT / "docs/architecture.md").read_text()
    folders = [path.parent for path in (ROOT / "gkm").rglob("__init__.py") if path.parent != ROOT / "gkm"]
    mapped = [ROOT / "gkm", ROOT / "gkm/training"]
    mapped += [path for path in folders if path.parent.name in ("data", "networks", "study")]
    files = [path for folder in mapped for path in folder.glob("*.py") if path.name != "__init__.py"]
    names = [f"{path.name}/" for path in folders] + [path.name for path in files]
    assert [name for name in names if not re.search(rf"(?<![\w]){re.escape(name)}", text)] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document):
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text())
    local = [target for target in targets if not re.match(r"https?://", target)]
    assert [target for target in local if not (document.parent / target).exists()] == []
