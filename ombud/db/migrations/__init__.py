"""The steps by which a database comes to its present shape. Tests prove on both databases that they lead to what the models say."""
