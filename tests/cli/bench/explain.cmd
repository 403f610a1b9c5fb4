# What is weighed differs between instruction sets, and so do the bytes.
cornu bench question --explain | sed 's/^  chosen   [a-z].*; packed kernel [0-9].*B, scratch [0-9].*B$/  chosen/; s/^  weighed  [a-z].*/  weighed/'
