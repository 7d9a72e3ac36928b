"""Instructions read from SASS: from a listing written by hand."""

from __future__ import annotations

import pytest

from reproduce.benchmarks.sass import parse_sass, read_sass

LISTING = """
	code for sm_80
		Function : _Z4copyPf
	.headerflags	@"EF_CUDA_SM80"
        /*0000*/                   MOV R1, c[0x0][0x28] ;              /* 0x00000a0000017a02 */
                                                                       /* 0x000fc40000000f00 */
        /*0010*/                   LDG.E R4, [R2.64] ;                 /* 0x0000000402047981 */
        /*0020*/              @!P0 LDG.E.128.CONSTANT R4, [R2.64] ;    /* 0x0000000402047981 */
        /*0030*/               @P1 LDG.E.U16 R5, desc[UR4][R2.64] ;    /* 0x0000000402047981 */
        /*0040*/                   LDG.E.U16.CONSTANT R5, [R2.64] ;    /* 0x0000000402047981 */
        /*0050*/                   LDGSTS.E.BYPASS.LTC128B.128 [R1], [R2.64] ; /* 0x00 */
        /*0060*/                   LDS.128 R4, [R2] ;                  /* 0x0000000402047981 */
        /*0070*/                   HFMA2.MMA R5, -RZ, RZ, 0, 0 ;       /* 0x0000000402047981 */
        /*0080*/                   HMMA.16816.F32.BF16 R4, R8, R2, RZ ; /* 0x00000002080472 */
        /*0090*/              @UP0 STG.E.64 [R2.64], R4 ;              /* 0x0000000402047981 */
        /*00a0*/                   STG.E.U8 [R2.64], R4 ;              /* 0x0000000402047981 */
		..........
		Function : _Z5emptyv
        /*0000*/                   EXIT ;                              /* 0x000000000000794d */
"""
NEWER = """
	code for sm_100a
		Function : _Z4copyPf
        /*0000*/                   LDG.E.ENL2.256 R8, R4, desc[UR4][R2.64] ; /* 0x00 */
        /*0010*/                   UTMALDG.2D [UR8], [UR4] ;           /* 0x0000000402047981 */
        /*0020*/                   UTCHMMA gdesc[UR4], gdesc[UR6], tmem[UR8] ; /* 0x00 */
        /*0030*/                   HGMMA.64x128x16.F32 R24, gdesc[UR4], RZ ; /* 0x00 */
"""


def test_accesses_are_counted_by_width():
    kernels = parse_sass(LISTING)
    assert list(kernels) == ["_Z4copyPf", "_Z5emptyv"]
    copy = kernels["_Z4copyPf"]
    assert copy.loads == {16: 2, 32: 1, 128: 2}
    assert copy.stores == {8: 1, 64: 1}
    assert copy.tensor_core == 1
    assert (copy.count("LDG"), copy.count("LDS"), copy.count("HFMA2")) == (4, 1, 1)
    assert copy.opcodes["HMMA.16816.F32.BF16"] == 1 and copy.opcodes.total() == 11
    assert kernels["_Z5emptyv"].loads == {} and kernels["_Z5emptyv"].tensor_core == 0


def test_an_architecture_is_chosen_where_there_are_several():
    newer = parse_sass(LISTING + NEWER, 100)
    assert list(newer) == ["_Z4copyPf"]
    assert newer["_Z4copyPf"].loads == {256: 1}
    assert newer["_Z4copyPf"].tensor_core == 2 and newer["_Z4copyPf"].count("UTMALDG") == 1
    assert parse_sass(LISTING + NEWER, 80) == parse_sass(LISTING)
    with pytest.raises(ValueError, match="_Z4copyPf is there for several architectures"):
        parse_sass(LISTING + NEWER)


def test_a_file_that_is_no_binary_is_refused(tmp_path):
    pytest.importorskip("triton", reason="Triton is not installed on this platform")
    path = tmp_path / "words.txt"
    path.write_text("no code")
    with pytest.raises(RuntimeError, match=r"cuobjdump cannot read words.txt"):
        read_sass(path)
