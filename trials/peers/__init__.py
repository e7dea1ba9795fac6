"""`make peers`: mail programs as people use them talk to Ombud's SMTP door, rightly and wrongly, and are answered as they should be.

house      an installation at work, with a server behind it that keeps what arrives
mail       the mail that every client sends, and the judge of what arrived
clients    the mail programs, and how each is told what to do
attacks    command injection around STARTTLS, and smuggled ends of data
"""
