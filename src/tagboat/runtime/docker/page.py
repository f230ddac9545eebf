"""The text of a page that is meant for browsers."""

from html.parser import HTMLParser


def words_of(page: str) -> str:
    """Return its title, which says best what it is about; without one its text, line by line."""
    read = _PageText()
    read.feed(page)
    return " ".join(read.title) or "\n".join(read.text)


class _PageText(HTMLParser):
    """Reads the title and the text, and leaves out all that is not for reading."""

    def __init__(self) -> None:
        super().__init__()
        self.title: list[str] = []
        self.text: list[str] = []
        self._within = ""

    def handle_starttag(
        self,
        tag: str,
        attrs: list[tuple[str, str | None]],  # noqa: ARG002 - the library's signature
    ) -> None:
        self._within = tag

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002
        self._within = ""

    def handle_data(self, data: str) -> None:
        if self._within == "title":
            self.title.append(data.strip())
        elif self._within not in {"script", "style"}:
            self.text.append(data)
