"""Who is asking: customers, the vendor's products, and the credentials that products submit with."""

from ombud.accounts.credentials import Credential, Mode, NewCredential, Sender, create_credential, revoke_credential
from ombud.accounts.customers import Customer, Product, put_customer, put_product, suspend_customer
from ombud.accounts.directory import Directory, load_directory

__all__ = [
    "Credential", "Customer", "Directory", "Mode", "NewCredential", "Product", "Sender", "create_credential",
    "load_directory", "put_customer", "put_product", "revoke_credential", "suspend_customer",
]  # fmt: skip
