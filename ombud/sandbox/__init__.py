"""The sandbox is in charge of a whole world on loopback: name server, recipients' mail servers that judge, and smart hosts.

It runs as its own process (`python -m ombud.sandbox --dir DIR`) and shares no code with Ombud's mail code, so that what it
says about a mail is a second opinion: aiosmtpd takes it in, pyspf and dkimpy judge it, dnspython answers for the zones.
It stands on addresses such as 127.0.20.1, so that "which server did it come from" means something; Linux has them all.
"""
