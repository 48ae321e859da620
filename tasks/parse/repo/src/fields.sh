fields() {
  line=$1
  out=1
  while [ "$line" != "${line#*,}" ]; do
    line=${line#*,}
    out=$((out + 1))
  done
  echo "$out"
}
