"""The glossary: the terms of the course in English and Korean, their meaning, and the lesson that explains them."""

from dataclasses import dataclass

from frcnn_edu.viz.tables import Table


@dataclass(frozen=True)
class Term:
    """A term in two languages, its meaning in one line, and the number of the lesson that explains it."""

    english: str
    korean: str
    meaning: str
    lesson: str


TERMS = (
    Term("two-stage detector", "2단계 검출기", "first proposes regions, then classifies each of them", "00"),
    Term("ground truth", "정답", "the annotated boxes and classes, which the detector should predict", "00"),
    Term("bounding box", "경계 상자", "the axis-aligned rectangle around an object", "00"),
    Term("background", "배경", "everything that is not an object; class 0", "00"),
    Term("backbone", "백본", "the convolutional network that turns the image into a feature map", "00"),
    Term("feature map", "특징 맵", "a coarse grid of cells, each with a vector of features", "00"),
    Term("stride", "스트라이드", "pixels of the image between neighbouring cells of the map", "00"),
    Term("anchor box", "앵커 박스", "a box of fixed size and shape at a cell; predictions start from it", "01"),
    Term("aspect ratio", "종횡비", "height divided by width", "01"),
    Term("IoU, intersection over union", "합집합 대비 교집합", "area of the intersection / area of the union", "02"),
    Term("positive anchor", "양성 앵커", "IoU with an object at least 0.7, or the highest of all", "02"),
    Term("negative anchor", "음성 앵커", "IoU with every object below 0.3", "02"),
    Term("ignored anchor", "무시되는 앵커", "neither positive nor negative: it does not enter the loss", "02"),
    Term("class imbalance", "클래스 불균형", "many more negatives than positives", "02"),
    Term("sampling", "표본 추출", "drawing 256 anchors for the loss, up to half of them positive", "02"),
    Term("region proposal network (RPN)", "지역 제안 네트워크", "predicts objectness and deltas of every anchor", "03"),
    Term("objectness", "객체성", "predicted probability that an anchor contains an object", "03"),
    Term("logit", "로짓", "a score before a sigmoid or softmax turns it into a probability", "03"),
    Term("cross-entropy", "교차 엔트로피", "classification loss: minus the log of the true class's probability", "03"),
    Term("smooth L1 loss", "스무스 L1 손실", "regression loss: quadratic for small errors, linear for large", "03"),
    Term("bounding box regression", "경계 상자 회귀", "predicting how to move and scale a box to fit an object", "04"),
    Term("deltas", "델타 (변화량)", "the four outputs of box regression: two shifts, two logs of a scale", "04"),
    Term("proposal", "지역 제안", "an anchor after box regression and NMS, passed to the second stage", "05"),
    Term("non-maximum suppression (NMS)", "비최대 억제", "of boxes that overlap, keeps the one of highest score", "05"),
    Term("recall", "재현율", "the share of the objects that are detected", "05"),
    Term("region of interest (RoI)", "관심 영역", "a box whose features are pooled; here, a proposal", "06"),
    Term("RoI pooling", "관심 영역 풀링", "pools any region of the feature map to a 7 x 7 grid", "06"),
    Term("quantisation", "양자화", "rounding a box to whole cells, as RoI pooling does", "06"),
    Term("RoIAlign", "관심 영역 정렬", "RoI pooling without the rounding", "06"),
    Term("bilinear interpolation", "이중 선형 보간", "mean of the four nearest cells, weighted by distance", "06"),
    Term("fully connected layer", "완전 연결 계층", "every output depends on every input", "07"),
    Term("classifier", "분류기", "predicts the class of a proposal, or background", "07"),
    Term("regressor", "회귀기", "predicts the deltas of a proposal, for each class", "07"),
    Term("detection", "검출", "a box with a class and a score: the output of the detector", "07"),
    Term("precision", "정밀도", "the share of the detections that are correct", "07"),
    Term("mAP, mean average precision", "평균 정밀도의 평균", "average precision, averaged over the classes", "07"),
    Term("pretrained", "사전 학습된", "already trained on other images, such as ImageNet", "08"),
    Term("fine-tuning", "미세 조정", "continuing the training of a pretrained network on new data", "08"),
    Term("feature pyramid network (FPN)", "특징 피라미드 네트워크", "feature maps of several strides", "08"),
    Term("frozen", "동결된", "not updated while the rest of the network is trained", "08"),
    Term("k-means clustering", "k-평균 군집화", "finds k centres of many points; here, shapes of anchors", "08"),
    Term("augmentation", "데이터 증강", "random changes to training images: mirrored, brighter, darker", "08"),
    Term("localisation error", "위치 오류", "the right class in the wrong place: IoU between 0.1 and 0.5", "08"),
    Term("duplicate", "중복 검출", "a second detection of an object, with a lower score", "08"),
    Term("ablation", "제거 실험", "removing one part and measuring the difference", "08"),
    Term("distributed training", "분산 학습", "several processes share each batch and average their gradients", "08"),
)
"""Every term, in the order of the lessons."""


def table() -> Table:
    """The glossary as a table for a notebook, folded."""
    rows = [(term.english, term.korean, term.meaning, term.lesson) for term in TERMS]
    return Table(("English", "한국어", "meaning", "lesson"), rows, f"{len(rows)} terms: click to unfold")
