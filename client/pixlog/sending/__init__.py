"""The client's side of delivery: memory, spill, socket, and what is pending."""
