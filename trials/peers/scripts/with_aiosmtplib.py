"""Sends one mail with aiosmtplib. Reads what to do as JSON from stdin; says the server's refusal and ends with 1."""

import asyncio
import json
import sys
from email.message import EmailMessage
from pathlib import Path

import aiosmtplib

task = json.load(sys.stdin)
message = EmailMessage()
message["From"], message["To"], message["Subject"] = task["from"], task["to"], task["subject"]
message.set_content(task["text"].replace("\r\n", "\n"))
message.add_attachment(
    Path(task["file"]).read_bytes(), maintype="application", subtype="pdf", filename=task["filename"]
)
try:
    asyncio.run(
        aiosmtplib.send(
            message,
            hostname=task["host"],
            port=task["port"],
            timeout=60,
            use_tls=task["security"] == "tls",
            start_tls=task["security"] == "starttls",
            cert_bundle=task["ca_file"],
            username=task["user"] if task["password"] else None,
            password=task["password"] or None,
        )
    )
except aiosmtplib.SMTPResponseException as error:
    print(error.code, error.message)
    sys.exit(1)
