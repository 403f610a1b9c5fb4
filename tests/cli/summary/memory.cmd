# Bytes are not told the same by every instruction set: the rows, and that one of them is marked.
cornu summary question --memory --batch 3 --ascii >all
sed '1,/Non-trainable/d' all | sed 's/[0-9.]* [KM]*i*B/N/g; s/ [0-9.]* times/ N times/; s/ *<- the greatest need//' | tr -s ' '
grep -c '<- the greatest need' all
