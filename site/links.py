"""Links of the repository, as they lead on the site: files of the package, other files, folders, names in the code.

The pages are written for the repository: they link to files beside them. A page among them is linked by MyST itself. A
file of the package leads to its source on the site. Any other file is copied into the site, in the folder ``_files``; a
folder leads to the repository, where ``REID_LAB_REPOSITORY`` says its address, and else is not linked. A name such as
``losses.identification`` in the text leads to its entry in the reference.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import names
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.osutil import relative_uri

import reid_lab

ROOT = Path(reid_lab.__file__).parent.parent
FRONT = {"README.md": "index", "notebooks": "notebooks/index"}  # pages of the site that stand for these
REPOSITORY = os.environ.get("REID_LAB_REPOSITORY", "").rstrip("/")
BRANCH = os.environ.get("REID_LAB_BRANCH", "main")


class RepositoryLinks(SphinxPostTransform):
    """Resolves links to what is no page of the site."""

    default_priority = 5  # MyST warns of them at 9

    def run(self, **kwargs: object) -> None:
        """Replace the links of one page."""
        for node in list(self.document.findall(_is_link)):
            path, _, anchor = node["reftarget"].partition("#")
            place = os.path.normpath(PurePosixPath(self.env.docname).parent / path).replace(os.sep, "/")
            if anchor or not path or not (ROOT / place).exists():
                continue  # MyST says that it leads nowhere
            address = self.address(place)
            words = node[0].deepcopy()
            node.replace_self(nodes.reference("", "", words, refuri=address, internal=True) if address else words)

    def address(self, place: str) -> str | None:
        """Where a file or folder of the repository is found from this page; None: nowhere."""
        here = self.app.builder.get_target_uri(self.env.docname)
        if place in FRONT:
            return relative_uri(here, self.app.builder.get_target_uri(FRONT[place]))
        module = place.removesuffix("/__init__.py").removesuffix(".py").replace("/", ".")
        entry = self.env.domains["py"].objects.get(module)
        if place.endswith(".py") and getattr(self.env, "_viewcode_modules", {}).get(module):
            return relative_uri(here, f"_modules/{module.replace('.', '/')}.html")
        if entry is not None:
            return relative_uri(here, self.app.builder.get_target_uri(entry.docname)) + f"#{entry.node_id}"
        if REPOSITORY:
            kind = "tree" if (ROOT / place).is_dir() else "blob"
            return f"{REPOSITORY}/{kind}/{BRANCH}/{place}"
        if (ROOT / place).is_dir():
            return None
        target = Path(self.app.outdir) / "_files" / place
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / place, target)
        return relative_uri(here, f"_files/{place}")


class CodeNames(SphinxPostTransform):
    """Links names of the package that stand in the text to the reference."""

    default_priority = 200

    def run(self, **kwargs: object) -> None:
        """Link the names of one page."""
        if self.env.docname.startswith("api/"):
            return
        for node in list(self.document.findall(nodes.literal)):
            if _inside(node, nodes.reference, nodes.title, addnodes.pending_xref):
                continue
            entry = names.entry_of_code(self.env, node.astext())
            if entry is not None:
                here = self.app.builder.get_target_uri(self.env.docname)
                there = self.app.builder.get_target_uri(entry.docname)
                address = f"{relative_uri(here, there)}#{entry.node_id}"
                node.replace_self(nodes.reference("", "", node.deepcopy(), refuri=address, internal=True))


class Alternatives(SphinxPostTransform):
    """Gives a notebook's picture its sentence as alternative text: it stands below, as "Figure 04-3. ..."."""

    default_priority = 6  # when MyST-NB has chosen among the forms of an output

    def run(self, **kwargs: object) -> None:
        """Describe the pictures of one page."""
        for output in self.document.findall(lambda node: _kind(node) == "cell_code_output"):
            picture = None
            for node in output.findall(lambda each: isinstance(each, nodes.image | nodes.paragraph)):
                if isinstance(node, nodes.image):
                    picture = node
                elif picture is not None and node.astext().startswith("Figure "):
                    picture.setdefault("alt", node.astext())
                    node["classes"].append("figure-says")
                    picture = None


def _is_link(node: nodes.Node) -> bool:
    kinds = addnodes.pending_xref, addnodes.download_reference
    return isinstance(node, kinds) and node.get("reftype") == "myst" and node.get("refdomain") is None


def _kind(node: nodes.Node) -> str:
    return node.get("nb_element", "") if isinstance(node, nodes.container) else ""


def _inside(node: nodes.Node, *kinds: type[nodes.Node]) -> bool:
    return any(isinstance(each, kinds) for each in _parents(node))


def _parents(node: nodes.Node) -> Iterator[nodes.Node]:
    while (node := node.parent) is not None:
        yield node


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the transforms."""
    for transform in (RepositoryLinks, CodeNames, Alternatives):
        app.add_post_transform(transform)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
