"""Sends one mail with Python's smtplib. Reads what to do as JSON from stdin; says the server's refusal and ends with 1."""

import json
import smtplib
import ssl
import sys
from pathlib import Path

task = json.load(sys.stdin)
context = ssl.create_default_context(cafile=task["ca_file"])
try:
    if task["security"] == "tls":
        server: smtplib.SMTP = smtplib.SMTP_SSL(task["host"], task["port"], timeout=60, context=context)
    else:
        server = smtplib.SMTP(task["host"], task["port"], timeout=60)
    with server:
        if task["security"] == "starttls":
            server.starttls(context=context)
        if task["password"]:
            server.login(task["user"], task["password"])
        server.sendmail(task["from"], [task["to"]], Path(task["mail"]).read_bytes())
except smtplib.SMTPResponseException as error:
    words = error.smtp_error.decode() if isinstance(error.smtp_error, bytes) else error.smtp_error
    print(error.smtp_code, words)
    sys.exit(1)
