unique() {
  out=""
  for x in "$@"; do
    case " $out " in
      *" $x "*) ;;
      *) out="$out $x" ;;
    esac
  done
  echo "${out# }"
}
