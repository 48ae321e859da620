decimal() {
  word=$1
  out=0
  while [ -n "$word" ]; do
    out=$((out * 2))
    case "$word" in
      1*) out=$((out + 1)) ;;
    esac
    word=${word#?}
  done
  echo "$out"
}
