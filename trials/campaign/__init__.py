"""A whole campaign, generated: thousands of customers, a month of their traffic, and sixty days of what people do, day by day.

`made` builds it in a database, `people` plays those who receive the letters, `ledger` keeps its own account of every customer
without asking the product, and `trial` compares the two each day.
"""
