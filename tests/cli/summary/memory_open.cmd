cat >open.json <<'END'
{"class_name": "Sequential", "keras_version": "2.4.0", "backend": "tensorflow", "config": {"name": "open", "layers": [
  {"class_name": "Conv2D", "config": {"name": "maps", "batch_input_shape": [null, null, 8, 1], "filters": 1, "kernel_size": [3, 3]}}]}}
END
for size in 6 6x8; do
    cornu summary open.json --memory --size $size --json | grep put_bytes
done
cornu summary open.json --memory
cornu summary open.json --memory --size 6x9
cornu summary open.json --memory --size 6x8x1
cornu summary open.json --memory --size 0
cornu summary open.json --memory --batch 0
cornu summary open.json --size 6
cornu summary open.json --batch 2
cornu summary question --memory --size 32
