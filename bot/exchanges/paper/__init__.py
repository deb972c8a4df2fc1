"""An exchange without money: real order books, our own balances, answered in process."""
