"""The glossary: the terms of the course in English and Korean, what each means, and the lesson that explains it."""

from dataclasses import dataclass

from frcnn_edu.viz.tables import Table


@dataclass(frozen=True)
class Term:
    """A term in two languages, in one line, with the number of the lesson that explains it."""

    english: str
    korean: str
    meaning: str
    lesson: str


TERMS = (
    Term("two-stage detector", "2단계 검출기", "first proposes regions, then says what is in each", "00"),
    Term("ground truth", "정답", "the boxes and classes that people gave: what the detector should answer", "00"),
    Term("bounding box", "경계 상자", "the upright rectangle round an object", "00"),
    Term("background", "배경", "everything that is no object; class 0", "00"),
    Term("backbone", "백본", "the convolutional network that turns the image into a feature map", "00"),
    Term("feature map", "특징 맵", "a coarse grid of cells, each with a list of numbers about its place", "00"),
    Term("stride", "스트라이드", "how many pixels of the image one cell of the feature map stands for", "00"),
    Term("anchor box", "앵커 박스", "a box of fixed size and shape on a cell, which the network starts from", "01"),
    Term("aspect ratio", "종횡비", "height divided by width", "01"),
    Term("IoU, intersection over union", "합집합 대비 교집합", "shared area of two boxes over their joint area", "02"),
    Term("positive anchor", "양성 앵커", "one that overlaps an object by 0.7 IoU, or better than any other", "02"),
    Term("negative anchor", "음성 앵커", "one that overlaps every object by less than 0.3", "02"),
    Term("ignored anchor", "무시되는 앵커", "neither of the two: training asks it nothing", "02"),
    Term("class imbalance", "클래스 불균형", "thousands of negatives for a handful of positives", "02"),
    Term("sampling", "표본 추출", "drawing 256 anchors for the loss, up to half of them positive", "02"),
    Term("region proposal network (RPN)", "지역 제안 네트워크", "says of every anchor: object or not, and where", "03"),
    Term("objectness", "객체성", "how sure the network is that an anchor holds some object", "03"),
    Term("logit", "로짓", "a score before the sigmoid or softmax makes a probability of it", "03"),
    Term("cross-entropy", "교차 엔트로피", "the loss for a wrong probability", "03"),
    Term("smooth L1 loss", "스무스 L1 손실", "the loss for a wrong delta: square when small, linear when large", "03"),
    Term("bounding box regression", "경계 상자 회귀", "predicting how a box must move and stretch to fit", "04"),
    Term("deltas", "델타 (변화량)", "the four numbers of that move: two shifts, two logs of a scale", "04"),
    Term("proposal", "지역 제안", "an anchor after its move, kept for the second stage", "05"),
    Term("non-maximum suppression (NMS)", "비최대 억제", "of boxes that overlap much, only the best score stays", "05"),
    Term("recall", "재현율", "the share of the objects that were found", "05"),
    Term("region of interest (RoI)", "관심 영역", "a box whose features are cut out: here, a proposal", "06"),
    Term("RoI pooling", "관심 영역 풀링", "makes a 7 x 7 grid of any region of the feature map", "06"),
    Term("quantisation", "양자화", "rounding a box to whole cells, as RoI pooling does", "06"),
    Term("RoIAlign", "관심 영역 정렬", "RoI pooling without the rounding", "06"),
    Term("bilinear interpolation", "이중 선형 보간", "a value between four cells, weighted by nearness", "06"),
    Term("fully connected layer", "완전 연결 계층", "every output reads every input; two read the 7 x 7 grid", "07"),
    Term("classifier", "분류기", "says which class a proposal is, or background", "07"),
    Term("regressor", "회귀기", "says how the proposal must move, class by class", "07"),
    Term("detection", "검출", "a box with a class and a score: the answer", "07"),
    Term("precision", "정밀도", "the share of the detections that are right", "07"),
    Term("mAP, mean average precision", "평균 정밀도의 평균", "the one number by which detectors are compared", "07"),
    Term("pretrained", "사전 학습된", "trained before on other images, such as ImageNet", "08"),
    Term("fine-tuning", "미세 조정", "training a pretrained network on", "08"),
    Term("feature pyramid network (FPN)", "특징 피라미드 네트워크", "feature maps at several strides at once", "08"),
    Term("frozen", "동결된", "left as it is while the rest of the network learns on", "08"),
    Term("k-means clustering", "k-평균 군집화", "finds k middles for many points: here, shapes of anchors", "08"),
    Term("augmentation", "데이터 증강", "showing a picture mirrored, brighter, darker: more to learn from", "08"),
    Term("localisation error", "위치 오류", "the right class in the wrong place: IoU between 0.1 and 0.5", "08"),
    Term("duplicate", "중복 검출", "a second detection of an object that a surer one has found", "08"),
    Term("ablation", "제거 실험", "taking one part away and measuring what it was worth", "08"),
    Term(
        "distributed training",
        "분산 학습",
        "several processes share each batch and average their gradients",
        "08",
    ),
)
"""Every term, in the order of the lessons."""


def table() -> Table:
    """The glossary as a table for a notebook."""
    rows = [(term.english, term.korean, term.meaning, term.lesson) for term in TERMS]
    return Table(("English", "한국어", "in one line", "lesson"), rows)
