"""Sound in, words out, and back; the spoken conversation. It imports none of the other folders."""
