"""Finding documents and layers again. Krita's wrappers are made anew at each call, so they are compared, not kept."""

from krita import Krita


def documents():
    return Krita.instance().documents()


def is_open(document):
    return document is not None and document.rootNode() is not None and document in documents()


def id_of(node):
    """A layer's own id, which is kept in the file."""
    return node.uniqueId().toString()


def holds(document, node):
    """Whether a layer that was in the document is still in it."""
    while node.parentNode() is not None:
        node = node.parentNode()
    return node == document.rootNode()


def find(document, layer_id):
    """The layer of that id, None where the document has none. (Document.nodeByUniqueID is of no use in Krita 5.1.)"""
    root = document.rootNode()
    nodes = [root] if root else []
    while nodes:
        node = nodes.pop()
        if id_of(node) == layer_id:
            return node
        nodes.extend(node.childNodes())
    return None


def twin(node, copy):
    """The layer that stands in a copy of a document where `node` stands in the document."""
    parent = node.parentNode()
    if parent is None:
        return copy.rootNode()
    return twin(parent, copy).childNodes()[parent.childNodes().index(node)]
