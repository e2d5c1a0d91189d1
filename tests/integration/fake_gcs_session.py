# SPDX-License-Identifier: Apache-2.0
"""Resumable uploads of fake_gcs.py."""

import re
import secrets
from dataclasses import dataclass

UNIT = 256 << 10


@dataclass
class Session:
    bucket: str
    query: dict  # of its beginning: conditions count at its end
    said: dict
    data: bytes = b""
    done: object = None


class Sessions:
    def __init__(self, bad, refused, finish):
        """finish(session) makes an object of it."""
        self.all, self.bad, self.refused, self.finish = {}, bad, refused, finish

    def begin(self, bucket, query, said):
        """What Location says behind the host."""
        upload = secrets.token_urlsafe(24)
        self.all[upload] = Session(bucket, query, said)
        where = f"/upload/storage/v1/b/{bucket}/o?uploadType=resumable"
        return f"{where}&name=x&upload_id={upload}"

    def find(self, query):
        upload = query.get("upload_id")
        if upload not in self.all:
            raise self.refused(404, "notFound", "No such session")
        return self.all[upload]

    def put(self, query, said, body):
        """(is it done, what became of it, or how many bytes are here)"""
        session = self.find(query)
        form = re.fullmatch(r"bytes (\*|(\d+)-(\d+))/(\*|\d+)", said)
        if not form:
            self.bad(f"Content-Range {said}")
        total = None if form[4] == "*" else int(form[4])
        if form[1] == "*" and body:
            self.bad("bytes where a status was asked for")
        if session.done:
            return True, session.done
        if form[1] != "*":
            first, last = int(form[2]), int(form[3])
            if last - first + 1 != len(body) or first > len(session.data):
                self.bad(f"Content-Range {said} of {len(body)}")
            if len(body) % UNIT and (total is None or last + 1 != total):
                self.bad("a chunk that is no multiple of 256 KiB")
            session.data = session.data[:first] + body
        if total is None or len(session.data) < total:
            return False, len(session.data)
        session.done = self.finish(session)
        return True, session.done

    def cancel(self, query):
        self.find(query)
        del self.all[query["upload_id"]]
