#!/usr/bin/env bash
# cascadio tessellates STEP and IGES (OpenCASCADE). The numbers that come out are in a unit that depends on the kind of the
# file and of the output, and never on the file's own unit: GLB of a STEP is in metres, as glTF wants it; GLB of an IGES is in
# millimetres, which a reader of glTF takes for metres; OBJ of a STEP is in millimetres, for a file in metres or inches, too.
# So that the same part of 2 × 3 mm, as STEP and as IGES, differs by 1000 once both are GLB.
#
# Seen with cascadio 0.1.1, trimesh 5.2.0, numpy 2.4.6, Python 3.11; the largest x of a part that is 2 wide in its file's unit:
#     STEP in mm: GLB 0.002, OBJ 2
#     STEP in m: GLB 2, OBJ 2000
#     IGES in mm: GLB 2
#     IGES in m: GLB 2000
set -euo pipefail
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet --disable-pip-version-check cascadio==0.1.1 trimesh==5.2.0 numpy==2.4.6
cd "$scratch"
# A tetrahedron 2 wide, 3 deep and 5 high, of flat faces; its unit of length is put in for UNIT.
cat >part.step <<'STEP'
ISO-10303-21;
HEADER;
FILE_DESCRIPTION((''),'2;1');
FILE_NAME('','2020-01-01T00:00:00',(''),(''),'','','');
FILE_SCHEMA(('AUTOMOTIVE_DESIGN'));
ENDSEC;
DATA;
#1=APPLICATION_CONTEXT('automotive design');
#2=PRODUCT_CONTEXT('',#1,'mechanical');
#3=PRODUCT('part','part','',(#2));
#4=PRODUCT_DEFINITION_FORMATION('','',#3);
#5=PRODUCT_DEFINITION_CONTEXT('part definition',#1,'design');
#6=PRODUCT_DEFINITION('design','',#4,#5);
#7=PRODUCT_DEFINITION_SHAPE('','',#6);
#8=SHAPE_DEFINITION_REPRESENTATION(#7,#9);
#9=ADVANCED_BREP_SHAPE_REPRESENTATION('',(#20,#30),#10);
#10=(GEOMETRIC_REPRESENTATION_CONTEXT(3)GLOBAL_UNCERTAINTY_ASSIGNED_CONTEXT((#95))
GLOBAL_UNIT_ASSIGNED_CONTEXT((#90,#91,#92))REPRESENTATION_CONTEXT('',''));
#20=AXIS2_PLACEMENT_3D('',#21,#22,#23);
#21=CARTESIAN_POINT('',(0.,0.,0.));
#22=DIRECTION('',(0.,0.,1.));
#23=DIRECTION('',(1.,0.,0.));
#91=(NAMED_UNIT(*)PLANE_ANGLE_UNIT()SI_UNIT($,.RADIAN.));
#92=(NAMED_UNIT(*)SI_UNIT($,.STERADIAN.)SOLID_ANGLE_UNIT());
#95=UNCERTAINTY_MEASURE_WITH_UNIT(LENGTH_MEASURE(1.E-07),#90,'','');
UNIT
#100=CARTESIAN_POINT('',(0.0,0.0,0.0));
#101=CARTESIAN_POINT('',(2.0,0.0,0.0));
#102=CARTESIAN_POINT('',(0.0,3.0,0.0));
#103=CARTESIAN_POINT('',(0.0,0.0,5.0));
#104=VERTEX_POINT('',#100);
#105=VERTEX_POINT('',#101);
#106=VERTEX_POINT('',#102);
#107=VERTEX_POINT('',#103);
#108=DIRECTION('',(0.0,1.0,0.0));
#109=VECTOR('',#108,1.);
#110=LINE('',#100,#109);
#111=EDGE_CURVE('',#104,#106,#110,.T.);
#112=ORIENTED_EDGE('',*,*,#111,.T.);
#113=DIRECTION('',(0.5547001962252291,-0.8320502943378437,0.0));
#114=VECTOR('',#113,1.);
#115=LINE('',#102,#114);
#116=EDGE_CURVE('',#106,#105,#115,.T.);
#117=ORIENTED_EDGE('',*,*,#116,.T.);
#118=DIRECTION('',(-1.0,0.0,0.0));
#119=VECTOR('',#118,1.);
#120=LINE('',#101,#119);
#121=EDGE_CURVE('',#105,#104,#120,.T.);
#122=ORIENTED_EDGE('',*,*,#121,.T.);
#123=EDGE_LOOP('',(#112,#117,#122));
#124=FACE_OUTER_BOUND('',#123,.T.);
#125=DIRECTION('',(0.0,0.0,-1.0));
#126=DIRECTION('',(0.0,1.0,0.0));
#127=AXIS2_PLACEMENT_3D('',#100,#125,#126);
#128=PLANE('',#127);
#129=ADVANCED_FACE('',(#124),#128,.T.);
#130=ORIENTED_EDGE('',*,*,#121,.F.);
#131=DIRECTION('',(-0.3713906763541037,0.0,0.9284766908852594));
#132=VECTOR('',#131,1.);
#133=LINE('',#101,#132);
#134=EDGE_CURVE('',#105,#107,#133,.T.);
#135=ORIENTED_EDGE('',*,*,#134,.T.);
#136=DIRECTION('',(0.0,0.0,-1.0));
#137=VECTOR('',#136,1.);
#138=LINE('',#103,#137);
#139=EDGE_CURVE('',#107,#104,#138,.T.);
#140=ORIENTED_EDGE('',*,*,#139,.T.);
#141=EDGE_LOOP('',(#130,#135,#140));
#142=FACE_OUTER_BOUND('',#141,.T.);
#143=DIRECTION('',(0.0,-1.0,0.0));
#144=DIRECTION('',(1.0,0.0,0.0));
#145=AXIS2_PLACEMENT_3D('',#100,#143,#144);
#146=PLANE('',#145);
#147=ADVANCED_FACE('',(#142),#146,.T.);
#148=ORIENTED_EDGE('',*,*,#139,.F.);
#149=DIRECTION('',(0.0,0.5144957554275265,-0.8574929257125441));
#150=VECTOR('',#149,1.);
#151=LINE('',#103,#150);
#152=EDGE_CURVE('',#107,#106,#151,.T.);
#153=ORIENTED_EDGE('',*,*,#152,.T.);
#154=ORIENTED_EDGE('',*,*,#111,.F.);
#155=EDGE_LOOP('',(#148,#153,#154));
#156=FACE_OUTER_BOUND('',#155,.T.);
#157=DIRECTION('',(-1.0,0.0,0.0));
#158=DIRECTION('',(0.0,0.0,1.0));
#159=AXIS2_PLACEMENT_3D('',#100,#157,#158);
#160=PLANE('',#159);
#161=ADVANCED_FACE('',(#156),#160,.T.);
#162=ORIENTED_EDGE('',*,*,#116,.F.);
#163=ORIENTED_EDGE('',*,*,#152,.F.);
#164=ORIENTED_EDGE('',*,*,#134,.F.);
#165=EDGE_LOOP('',(#162,#163,#164));
#166=FACE_OUTER_BOUND('',#165,.T.);
#167=DIRECTION('',(0.7894736842105263,0.5263157894736842,0.3157894736842105));
#168=DIRECTION('',(-0.5547001962252291,0.8320502943378437,0.0));
#169=AXIS2_PLACEMENT_3D('',#101,#167,#168);
#170=PLANE('',#169);
#171=ADVANCED_FACE('',(#166),#170,.T.);
#31=CLOSED_SHELL('',(#129,#147,#161,#171));
#30=MANIFOLD_SOLID_BREP('',#31);
ENDSEC;
END-ISO-10303-21;
STEP
# A flat patch 2 wide and 3 deep (entity 128), in millimetres (unit flag 2).
cat >patch.iges <<'IGES'
a patch                                                                 S      1
1H,,1H;,1Hp,1Hf,1Hs,1Hs,32,38,6,308,15,1Hp,1.,2,2HMM,1,0.01,15H20200101.G      1
000000,1E-07,10.,1Ha,1Ho,11,0;                                          G      2
     128       1       0       0       0       0       0       000000000D      1
     128       0       0       3       0                               0D      2
128,1,1,1,1,0,0,1,0,0,0.0,0.0,1.0,1.0,0.0,0.0,1.0,1.0,1.0,1.0,         1P      1
1.0,1.0,0.0,0.0,0.0,2.0,0.0,0.0,0.0,3.0,0.0,2.0,3.0,0.0,0.0,1.0,       1P      2
0.0,1.0;                                                               1P      3
S      1G      2D      2P      3                                        T      1
IGES
"$scratch/venv/bin/python" - <<'PYTHON' >"$scratch/all"
import io

import cascadio
import trimesh


def width(data, kind):
    return f"{trimesh.load_scene(data, file_type=kind).bounds[1][0]:.6g}"


step, iges = open("part.step").read(), open("patch.iges").read()
for name, prefix in (("mm", ".MILLI."), ("m", "$")):
    text = step.replace("UNIT\n", f"#90=(LENGTH_UNIT()NAMED_UNIT(*)SI_UNIT({prefix},.METRE.));\n", 1)
    with open("part.step", "w") as file:
        file.write(text)
    assert cascadio.step_to_obj("part.step", "part.obj") == 0
    glb, obj = width(io.BytesIO(cascadio.load(text.encode())), "glb"), width(open("part.obj", "rb"), "obj")
    print(f"STEP in {name}: GLB {glb}, OBJ {obj}", flush=True)
for name, unit in (("mm", ",2,2HMM,"), ("m", ",6,1HM, ")):  # as long, so that the columns stay
    glb = cascadio.load(iges.replace(",2,2HMM,", unit).encode(), file_type="iges")
    print(f"IGES in {name}: GLB {width(io.BytesIO(glb), 'glb')}", flush=True)
PYTHON
grep -aE '^(STEP|IGES) in' "$scratch/all" | tee "$scratch/out" # OpenCASCADE writes to standard output, too
expected="STEP in mm: GLB 0.002, OBJ 2
STEP in m: GLB 2, OBJ 2000
IGES in mm: GLB 2
IGES in m: GLB 2000"
[ "$(cat "$scratch/out")" = "$expected" ] || { echo "changed"; exit 1; }
echo "as described"
