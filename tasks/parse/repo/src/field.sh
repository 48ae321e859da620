field() {
  n=$1
  line=$2
  i=1
  while [ "$i" -lt "$n" ]; do
    line=${line#*,}
    i=$((i + 1))
  done
  echo "${line%%,*}"
}
