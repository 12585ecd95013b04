"""Delivering: what a delivered file says of itself: that a model made it, which one, and by which program.

The words are those of the IPTC Photo Metadata Standard 2025.1, as an XMP packet, which JPEG, PNG and WebP carry.
Platforms read them to label pictures; they are a machine-readable marking as the EU AI Act, article 50, asks for.
"""

from __future__ import annotations

from importlib.metadata import version
from xml.sax.saxutils import quoteattr

MADE_BY_A_MODEL = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""IPTC's term for what a trained model made as a whole."""

PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description
 rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 Iptc4xmpExt:DigitalSourceType={source}
 Iptc4xmpExt:AISystemUsed={model}
 xmp:CreatorTool={program}/></rdf:RDF></x:xmpmeta>
<?xpacket end="r"?>"""


def xmp_packet(model: str) -> bytes:
    """The marking of an image that `model` made, UTF-8."""
    values = {"source": MADE_BY_A_MODEL, "model": model, "program": program()}
    return PACKET.format(**{name: quoteattr(value) for name, value in values.items()}).encode()


def program() -> str:
    """Name and version, as `dreamline 0.1.0`."""
    return f"dreamline {version('dreamline')}"
