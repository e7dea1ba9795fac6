"""OpenPEPPOL's own rules as the judge of the invoices that Ombud writes."""
