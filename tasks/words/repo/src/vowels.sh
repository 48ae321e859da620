vowels() {
  word=$1
  out=0
  while [ -n "$word" ]; do
    case "$word" in
      [aeiou]*) out=$((out + 1)) ;;
    esac
    word=${word#?}
  done
  echo "$out"
}
