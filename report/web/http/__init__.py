"""What every request and every page goes through: visitors, forms, headers, the frame, faults."""
