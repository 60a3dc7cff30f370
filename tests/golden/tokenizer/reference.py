# SPDX-License-Identifier: Apache-2.0
"""tiktoken with the Llama 3 split pattern and a .model file: what titan-tokenizer is compared with."""
import base64

PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
           r"|\s*[\r\n]+|\s+(?!\S)|\s+")


class Reference:
    def __init__(self, path):
        import tiktoken
        with open(path, "rb") as file:
            pairs = [line.split() for line in file if line.strip()]
        ranks = {base64.b64decode(token): int(rank) for token, rank in pairs}
        self.encoding = tiktoken.Encoding("model", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={})

    def encode(self, text):
        try:
            return self.encoding.encode_ordinary(text)
        except BaseException as error:  # tiktoken's engine overflows its stack on a megabyte of spaces: a Rust panic
            if type(error).__name__ != "PanicException":
                raise
            import regex
            pieces = regex.findall(PATTERN, text)
            assert "".join(pieces) == text
            return [i for piece in pieces for i in self.encoding._core_bpe.encode_single_piece(piece.encode())]
