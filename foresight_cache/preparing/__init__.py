"""What `preparation` is made of: choosing, checking and packing samples, and the folder that it writes."""
