sale() {
  cents=$1
  off=$2
  out=$((cents - off))
  if [ "$out" -lt 0 ]; then
    out=0
  fi
  echo "$out"
}
